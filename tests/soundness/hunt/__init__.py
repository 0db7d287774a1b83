"""What the suite shares: random networks, their copies, oracles, and the judge of verdicts."""

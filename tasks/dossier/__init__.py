"""What all stages share: the life, its moves, its papers, its register."""

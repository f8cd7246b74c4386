"""What a run leaves behind: its files, wherever its folder goes."""

"""What officers do after a check: proposals that a second person decides, the register of letters, the watch."""

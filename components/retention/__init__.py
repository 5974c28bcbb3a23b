"""What a lake still needs: an inventory of its trainings, and the rules that say which of them may be removed."""

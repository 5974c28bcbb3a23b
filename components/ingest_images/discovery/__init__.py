"""Discovery: find the new and changed files of a landing folder."""

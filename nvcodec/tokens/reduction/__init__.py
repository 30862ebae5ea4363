"""Token reduction: operators that keep, merge or pool tokens within a budget."""

"""Token reduction: methods that select, merge or pool tokens to a budget."""

"""
A process that has everything loaded stands by, and becomes the command that somebody types.

Loading a command's libraries takes longer than most acts at the counter. So one process loads them once and
forks for each command: the child is a process of its own with the words, the environment, the folder, the
open files and the rights of whoever asked, and ends with the command. Nothing is kept from one command to
the next. Without such a process, or after a change of the code, a command loads what it needs by itself.

`asking` is what a command does first, and imports little; `serving` is the process that stands by.
"""

"""The vocabulary of a decision: messages in, rows that change, outputs that say what happened; pure, no I/O."""

from libs.decide.handlers import Handlers, On, Output
from libs.decide.messages import Command, Delivered, Due, Reply, Send, Unwake, Wake, problem
from libs.decide.state import Entry, Key, Needs, NotLoaded, Row, State, key_of, merge_needs

__all__ = [
    "Command",
    "Delivered",
    "Due",
    "Entry",
    "Handlers",
    "Key",
    "Needs",
    "NotLoaded",
    "On",
    "Output",
    "Reply",
    "Row",
    "Send",
    "State",
    "Unwake",
    "Wake",
    "key_of",
    "merge_needs",
    "problem",
]

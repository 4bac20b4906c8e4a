"""Rules as data: a decision graph in GoRules' JDM format, screened, proven by its examples and evaluated; no I/O."""

from libs.rules.graph import Graph, RuleFailed, digest, graph_of
from libs.rules.proof import RuleRefused, Vocabulary, compile_graph

__all__ = ["Graph", "RuleFailed", "RuleRefused", "Vocabulary", "compile_graph", "digest", "graph_of"]

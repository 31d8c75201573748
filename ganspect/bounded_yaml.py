"""YAML whose cost is bounded: a settings file may come from anywhere, and a small one can unfold to more than memory.

content = load_yaml(path.read_bytes())
"""

import re
from typing import Any

import yaml

TEXT_BYTES = 256 << 10
"""The largest text that is read; recipes and station files are a hundred times smaller."""

_DEEPEST = 30
_MOST_BITS = 1_000
_MOST_VALUES = 50_000
"""With every alias counted for what it stands for, as merges and messages write it out."""


def load_yaml(text: str | bytes) -> Any:
    """Return what a YAML text holds, in plain types.

    Raises:
        yaml.YAMLError: it is no YAML, has a key twice or a value that is not what its tag says, is larger than
            `TEXT_BYTES`, nested too deeply, or unfolds to too many values; `problem` says which.
        UnicodeDecodeError: it is no text.
    """
    if len(text) > TEXT_BYTES:
        raise yaml.MarkedYAMLError(problem=f"it is larger than {TEXT_BYTES >> 10} KB")
    return yaml.load(text.decode("utf-8-sig") if isinstance(text, bytes) else text, _Loader)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with bounds.

    By itself it would let the last of two keys of one name win without a word, write out every merge, and raise
    whatever Python raises on a value that is not what it looks like.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        mark: Any = event.start_mark
        again = isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"it is nested more than {_DEEPEST} deep", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if again and node not in self._sizes:
            raise yaml.MarkedYAMLError(problem="an alias stands inside what it stands for", problem_mark=mark)
        if node is not None and self._size(node) > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"it unfolds to more than {_MOST_VALUES} values", problem_mark=mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # As written, before merges (`<<`) are carried out, which may override keys on purpose.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} stands there twice", problem_mark=node.start_mark
                    )
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise ValueError("a number without end, which Python would refuse to write")
            return value
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            kind = re.sub("^tag:yaml.org,2002:", "", node.tag)
            raise yaml.MarkedYAMLError(problem=f"a value is no {kind}", problem_mark=node.start_mark) from error

    def _size(self, node: yaml.Node) -> int:
        """Return how many values a node unfolds to; of those inside it that is known."""
        if node not in self._sizes:
            parts = [] if isinstance(node, yaml.ScalarNode) else node.value
            inner = [part for two in parts for part in (two if isinstance(two, tuple) else (two,))]
            self._sizes[node] = 1 + sum(self._sizes[part] for part in inner)
        return self._sizes[node]

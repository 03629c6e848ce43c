"""From the text of a filter to its tree.

cel-python is the parser and nothing else: what its tree means is compiled elsewhere. Chains are flattened and
macros (`has`, `all`, `exists`, ...) recognised here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcore.model.errors import TooLarge
from qcore.model.ids import is_digits
from qcore.store.cel.functions import FUNCTIONS
from qcore.store.cel.libraries.absent import NOT_BUILT_IN
from qcore.store.cel.macros import BIND, LOOPS, bind, loop
from qcore.store.cel.nodes import (
    Arithmetic,
    Call,
    Compare,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Parsed,
    Path,
    Select,
    Ternary,
    Unary,
    variables,
)
from qcore.store.cel.scan import MAX_LEVELS, Scanned, bad_filter, scan
from qcore.store.cel.values import INT_MAX, INT_MIN, UINT_MAX, UInt

__all__ = ["parse"]

_QUALIFIED = frozenset(name for name in (*FUNCTIONS, *NOT_BUILT_IN) if "." in name)
"""Functions whose names have a namespace, as ``math.abs``."""

_TYPE_NAMES = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


def parse(source: str) -> Parsed:
    """Parse the text of a filter; pure, and safe to run in a thread.

    Raises:
        TooLarge: over 4 KiB, or deeper than `MAX_LEVELS`.
        BadFilter: a syntax error; names line, column, what was expected and what was given.
    """
    # half a second and 20 MB that only those pay who filter, and never on the event loop
    from celpy.celparser import CELParseError, CELParser

    scanned = scan(source)
    try:
        tree = CELParser().parse(scanned.text)
    except CELParseError as exc:
        raise _syntax_error(scanned, exc.__context__) from None
    builder = _Builder(scanned)
    root = builder.build(tree)
    return Parsed(source, root, variables(root))


_CLOSING = {"(": ")", "[": "]", "{": "}"}
_SLIPS = {"=": " (equality is ==)", "&": " (and is &&)", "|": " (or is ||)"}
_OPTIONAL = " (optional values, as in .? and [?, are not supported: CEL's library optionals is not built in)"


def _syntax_error(scanned: Scanned, cause: Any) -> Exception:
    """What lark found, in words of the user's text."""
    token = getattr(cause, "token", None)
    at = getattr(cause, "pos_in_stream", None) or 0
    if token is not None and token.type == "$END":
        at, given = len(scanned.source), "the end of the text"
    else:
        given = repr(scanned.source[at : at + min(len(token) if token is not None else 1, 40)])
    signs = set(getattr(cause, "expected", None) or getattr(cause, "allowed", None) or ())
    if "INT_LIT" in signs:
        expected = "a value"
    elif "SLASH" in signs or "IDENT" not in signs:
        expected = f"an operator or {_closing(scanned.text[:at])}"
    else:
        expected = "a name"
    slip = _SLIPS.get(scanned.source[at : at + 1], "")
    if scanned.text[at : at + 1] == "?" and scanned.text[:at].rstrip().endswith((".", "[", "{")):
        slip = _OPTIONAL
    return bad_filter(scanned.source, at, f"expected {expected}, given {given}{slip}")


def _closing(text: str) -> str:
    """What closes the bracket that is open at the end of a text."""
    depth = 0
    for char in reversed(text):
        if char in ")]}":
            depth += 1
        elif char in _CLOSING:
            if depth == 0:
                return f"'{_CLOSING[char]}'"
            depth -= 1
    return "the end of the text"


class _Builder:
    """Turns the parse tree into nodes from the leaves up, without recursion."""

    def __init__(self, scanned: Scanned) -> None:
        self.scanned = scanned
        self.built: dict[int, Any] = {}

    def build(self, tree: Any) -> Node:
        for sub in tree.iter_subtrees():  # children come before their parents
            parts = [child if isinstance(child, str) else self.built.pop(id(child)) for child in sub.children]
            at = getattr(sub.meta, "start_pos", None) or 0  # the parser does not place true and false
            node = _RULES.get(str(sub.data), _passed_on)(self, at, parts)
            if isinstance(node, Node) and node.levels > MAX_LEVELS:
                text = self.fail(node.at, f"expressions nest at most {MAX_LEVELS} levels deep").message
                raise TooLarge(text)
            self.built[id(sub)] = node
        return self.built[id(tree)]  # type: ignore[no-any-return]

    def fail(self, at: int, message: str) -> Any:
        return bad_filter(self.scanned.source, at, message)


Rule = Callable[[_Builder, int, list[Any]], Any]


def _height(*nodes: Node) -> int:
    return max((node.levels for node in nodes), default=0) + 1


def _passed_on(_builder: _Builder, _at: int, parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else parts


def _ternary(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    condition, yes, no = parts
    return Ternary(at=at, levels=_height(*parts), condition=condition, yes=yes, no=no)


def _logic(op: str) -> Rule:
    def rule(_builder: _Builder, at: int, parts: list[Any]) -> Any:
        if len(parts) == 1:
            return parts[0]
        left, right = parts
        if type(left) is not Logic or left.op != op:
            return Logic(at=at, levels=_height(left, right), op=op, terms=[left, right])
        left.terms.append(right)
        left.levels = max(left.levels, right.levels + 1)
        return left

    return rule


def _with_operator(op: str) -> Rule:
    return lambda _builder, _at, parts: (op, parts[0])


def _relation(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    (op, left), right = parts
    return Compare(at=at, levels=_height(left, right), op=op, left=left, right=right)


def _arithmetic(ops: str) -> Rule:
    def rule(_builder: _Builder, at: int, parts: list[Any]) -> Any:
        if len(parts) == 1:
            return parts[0]
        (op, left), right = parts
        if type(left) is not Arithmetic or left.rest[0][0] not in ops:
            return Arithmetic(at=at, levels=_height(left, right), first=left, rest=[(op, right)])
        left.rest.append((op, right))
        left.levels = max(left.levels, right.levels + 1)
        return left

    return rule


def _unary(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    op, operand = parts
    return Unary(at=at, levels=_height(operand), op=op, operand=operand)


def _dot(builder: _Builder, at: int, parts: list[Any]) -> Any:
    operand, token = parts
    if token.start_pos not in builder.scanned.arrows:
        if type(operand) is Select and type(operand.operand) is Name:
            dotted = f"{operand.operand.name}.{operand.name}.{token}"
            if dotted in _TYPE_NAMES:
                return Name(at=at, name=dotted, rooted=operand.operand.rooted)
        return Select(at=at, levels=_height(operand), operand=operand, name=str(token))
    name = token[1:]
    if is_digits(name) and len(name) > 9:
        raise builder.fail(token.start_pos + 1, f"no list has an element {name}")
    hop = int(name) if is_digits(name) else name
    if type(operand) is Path:
        operand.hops.append(hop)
        return operand
    return Path(at=at, levels=_height(operand), operand=operand, hops=[hop])


def _method(builder: _Builder, at: int, parts: list[Any]) -> Any:
    target, token, *rest = parts
    args: list[Node] = rest[0] if rest else []
    if token.start_pos in builder.scanned.arrows:
        text = f"-> leads to a field; a function is called with a dot: .{token[1:]}(...)"
        raise builder.fail(token.start_pos + 1, text)
    qualified = f"{target.name}.{token}" if type(target) is Name else ""
    if qualified == BIND:
        return bind(builder.fail, target.at, _height(*args), args)
    if qualified in _QUALIFIED:
        return Call(at=target.at, levels=_height(*args), name=qualified, target=None, args=args)
    if len(args) in LOOPS.get(token, ()):
        return loop(builder.fail, at, _height(target, *args), str(token), target, args)
    return Call(at=token.start_pos, levels=_height(target, *args), name=str(token), target=target, args=args)


def _function(builder: _Builder, at: int, parts: list[Any]) -> Any:
    token, *rest = parts
    args: list[Node] = rest[0] if rest else []
    if token.start_pos in builder.scanned.arrows:
        raise builder.fail(at, "expected a value before ->")
    if token != "has":
        return Call(at=token.start_pos, levels=_height(*args), name=str(token), target=None, args=args)
    if len(args) != 1 or not isinstance(args[0], (Name, Path, Select)):
        raise builder.fail(at, "has() takes one field or path, such as has(Manager->Name)")
    return Has(at=at, levels=_height(args[0]), operand=args[0])


def _name(rooted: bool) -> Rule:
    def rule(builder: _Builder, at: int, parts: list[Any]) -> Any:
        token = parts[0]
        if token.start_pos in builder.scanned.arrows:
            raise builder.fail(at, "expected a value before ->")
        return Name(at=token.start_pos, name=str(token), rooted=rooted)

    return rule


def _index(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    operand, index = parts
    return Index(at=at, levels=_height(operand, index), operand=operand, index=index)


def _list(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    items = parts[0] if parts else []
    return ListOf(at=at, levels=_height(*items), items=items)


def _map(_builder: _Builder, at: int, parts: list[Any]) -> Any:
    flat = parts[0] if parts else []
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    return MapOf(at=at, levels=_height(*flat), items=pairs)


def _message(builder: _Builder, at: int, _parts: list[Any]) -> Any:
    raise builder.fail(at, "messages such as Type{field: value} are not part of this store")


def _many(_builder: _Builder, _at: int, parts: list[Any]) -> Any:
    return parts


def _literal(builder: _Builder, at: int, parts: list[Any]) -> Any:
    token = parts[0]
    value: Any
    match token.type:
        case "STRING_LIT" | "MLSTRING_LIT" | "BYTES_LIT":
            value = builder.scanned.literals[token.start_pos]
        case "BOOL_LIT":
            value = token == "true"
        case "NULL_LIT":
            value = None
        case "FLOAT_LIT":
            value = float(token)
            if value in (float("inf"), float("-inf")):
                raise builder.fail(at, f"a double has at most 1.7976931348623157e308, given {token[:40]}")
        case "UINT_LIT":
            value = UInt(_integer(token[:-1]))
            if not 0 <= value <= UINT_MAX:
                raise builder.fail(at, f"a uint is 0..{UINT_MAX}, given {token[:40]}")
        case _:
            value = _integer(token)
            if not INT_MIN <= value <= INT_MAX:
                raise builder.fail(at, f"an int is {INT_MIN}..{INT_MAX}, given {token[:40]}")
    return Literal(at=at, value=value)


def _integer(text: str) -> int:
    return int(text, 16 if "x" in text else 10)


_RULES: dict[str, Rule] = {
    "expr": _ternary,
    "conditionalor": _logic("||"),
    "conditionaland": _logic("&&"),
    "relation": _relation,
    "relation_lt": _with_operator("<"),
    "relation_le": _with_operator("<="),
    "relation_gt": _with_operator(">"),
    "relation_ge": _with_operator(">="),
    "relation_eq": _with_operator("=="),
    "relation_ne": _with_operator("!="),
    "relation_in": _with_operator("in"),
    "addition": _arithmetic("+-"),
    "addition_add": _with_operator("+"),
    "addition_sub": _with_operator("-"),
    "multiplication": _arithmetic("*/%"),
    "multiplication_mul": _with_operator("*"),
    "multiplication_div": _with_operator("/"),
    "multiplication_mod": _with_operator("%"),
    "unary": _unary,
    "unary_not": lambda _builder, _at, _parts: "!",
    "unary_neg": lambda _builder, _at, _parts: "-",
    "member_dot": _dot,
    "member_dot_arg": _method,
    "member_index": _index,
    "member_object": _message,
    "dot_ident_arg": _function,
    "dot_ident": _name(rooted=True),
    "ident_arg": _function,
    "ident": _name(rooted=False),
    "list_lit": _list,
    "map_lit": _map,
    "exprlist": _many,
    "mapinits": _many,
    "fieldinits": _many,
    "literal": _literal,
}

"""The part of RouterOS's script language that schedulers, scripts and exports are written in.

`syntax` is what there is to say, `reader` reads it, `quoting` reads and writes strings, `interpreter` does it. Played:
commands in their space form, and from 7 on in their slash form; names and `[find …]` for items; `:local`, `:global`,
`:set`, `:if`, `:do … on-error`, `:foreach`, `:delay`, `:put`, `:log`, `:error`, `:len`, `:tostr`; `$name`, `$[…]` and
`$(…)` in strings; comparisons, `.`, `~`, `and`, `or`, `!`. Not played: functions, arrays, `:while`, `:for`, arithmetic
beyond plus and minus. What is not known is a syntax error with its line and column.
"""

from provisioning.simulators.routeros.scripting.interpreter import Interpreter
from provisioning.simulators.routeros.scripting.quoting import quote
from provisioning.simulators.routeros.scripting.reader import read, statements
from provisioning.simulators.routeros.scripting.syntax import ScriptError

__all__ = ["Interpreter", "ScriptError", "quote", "read", "statements"]

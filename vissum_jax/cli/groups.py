"""Commands under one name, such as ``vissum models list``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union

import tyro


def group(description: str, commands: Mapping[str, Callable[..., int]]) -> Callable[..., int]:
    """A command that is a choice of commands, as `tyro.extras.subcommand_cli_from_dict` takes it.

    Args:
        description: What the help says of the group.
        commands: The commands by name.
    """

    def choose(code: Any) -> int:
        return code

    members = [Annotated[Any, tyro.conf.subcommand(name=name, constructor=run)] for name, run in commands.items()]
    # A choice of one is none to tyro: nothing, out of sight, makes it two.
    choice = Union[tuple([*members, Annotated[None, tyro.conf.Suppress]])]  # noqa: UP007 - made at run time
    choose.__annotations__["code"] = Annotated[choice, tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes]
    choose.__doc__ = description
    return choose

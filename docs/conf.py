"""The documentation site: `make docs` builds it into docs/_build; every warning is an error.

Nothing is fetched, neither by the build nor by the pages: furo brings its own styles and scripts, and no fonts.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

from vissum_jax import __version__

project = "vissum_jax"
author = "the vissum_jax authors"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]  # what is built, and what is built from the tour on the way

html_theme = "furo"
html_title = "vissum_jax"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sourcelink = False

myst_heading_anchors = 3
# The tour is executed by the tests; the site shows the outputs that it was committed with.
nb_execution_mode = "off"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # fields are told where the class says what they mean, and not once more
default_role = "code"

# A page each. Left out: the command line, which has its own help, and what only serves it.
PACKAGES = (
    *("types", "pipeline", "models", "data", "masks", "proposals", "matching", "summaries", "report", "analysis"),
    *("study", "export", "runs", "attribution", "deep_inside", "interpretation", "ops"),
)
# Of these, what `__init__` offers; the modules are their own business.
OFFERED_ONLY = ("pipeline", "models", "data", "report")


def write_api_pages(app):
    """Write a page for every package, so that no list of modules has to be kept."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for name in PACKAGES:
        package = import_module(f"vissum_jax.{name}")
        title = f"vissum_jax.{name}"
        lines = [title, "=" * len(title), "", f".. automodule:: {title}"]
        if name in OFFERED_ONLY:
            lines += ["   :imported-members:"]
        elif hasattr(package, "__path__"):
            lines += ["   :no-members:"]
            for module in pkgutil.iter_modules(package.__path__):
                heading = f"{name}.{module.name}"
                lines += ["", heading, "-" * len(heading), "", f".. automodule:: {title}.{module.name}"]
        page, text = folder / f"{name}.rst", "\n".join(lines) + "\n"
        if not page.is_file() or page.read_text() != text:
            page.write_text(text)


def read_as_markdown(app, what, name, obj, options, lines):
    """What stands indented after a paragraph is an equation, as in Markdown, and a bar is a bar."""
    out, equation, last = [], False, ""
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            equation = False
        elif indented and not equation and out and not out[-1] and not last.startswith(" ") and last[-2:] != "::":
            equation = True
            out += ["::", ""]
        out.append(line if equation else _escape_bars(line))
        last = line or last
    lines[:] = out


def _escape_bars(line):
    """Outside of code."""
    return "`".join(part if number % 2 else part.replace("|", r"\|") for number, part in enumerate(line.split("`")))


def setup(app):
    """Ahead of napoleon, which takes sections apart."""
    app.connect("builder-inited", write_api_pages)
    app.connect("autodoc-process-docstring", read_as_markdown, priority=400)

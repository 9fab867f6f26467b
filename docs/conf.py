"""The documentation site: `make docs` builds it into build/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # sitegen

import tfp_nvp

project = "tfp_nvp"
author = "The tfp_nvp authors"
copyright = author
version = release = tfp_nvp.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sitegen"]
exclude_patterns = ["sitegen", "**/__pycache__"]

# The pages are read on GitHub too: anchors are made as it makes them.
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"tfp_nvp {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# sitegen/docstrings.py reads docstrings; their single backticks are names of this package, or code.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

# Every reference must lead somewhere, but for annotations: other libraries' types, and private ones.
nitpicky = True
nitpick_ignore_regex = [(r"py:(class|obj|data|exc)", r"(?!tfp_nvp\.[a-z]\w*\.\w+$).*")]

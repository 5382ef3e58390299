"""The field's public formats: one a module, `registry` names them, `importing` and `exporting` run them."""

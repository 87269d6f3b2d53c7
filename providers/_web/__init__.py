"""Carriers that are reached by HTTP: what `http_json`, `http_form` and every carrier by name share."""

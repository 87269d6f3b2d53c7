"""Makes the Provider of a web carrier out of its settings. Raises SettingsError; makes no connection."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, quote_plus

from gateway.provider import Callback, CallbackRequest, Reports, SettingsError
from providers._web.answers import AnswerReader
from providers._web.callback_settings import PathToken, QueryToken
from providers._web.callbacks import CallbackReader, Dialect
from providers._web.carrier import WebCarrier
from providers._web.placeholders import SINGLE, Context, Facts
from providers._web.reading import Fault
from providers._web.requests import RequestMaker, compiled
from providers._web.settings import AnySettings
from providers._web.template import compile_url


class CallingCarrier(WebCarrier):
    """A web carrier that reports by webhook."""

    reader: CallbackReader

    def parse_callback(self, request: CallbackRequest) -> Callback:
        """What a webhook request of this carrier means."""
        return self.reader.read(request)


def make(
    carrier: str,
    settings: AnySettings,
    reports: Reports,
    dialect: Dialect | None = None,
    kind: type[CallingCarrier] = CallingCarrier,
    answers: type[AnswerReader] = AnswerReader,
    authorize: Callable[[int], str] | None = None,
) -> WebCarrier:
    """The provider of one account. `dialect`, `kind` and `answers`: for carriers by name whose reports or answers are
    peculiar; `authorize`: the value of Authorization by the time (ms), where it changes. Raises SettingsError."""
    try:
        context = Context(
            carrier,
            settings.encodings,
            settings.classes,
            settings.ucs2_text == "hex",
            settings.longest_validity_s,
            callback_url(carrier, settings, reports.callbacks_url),
            settings.shortest_validity_s,
        )
        maker, reader = RequestMaker(settings, context, authorize), answers(settings)
        translate = dialect.translate if dialect is not None else None
        if settings.callbacks is None:
            return WebCarrier(carrier, settings, maker, reader, reports, translate)
        made = kind(carrier, settings, maker, reader, reports, translate)
        made.reader = CallbackReader(settings.callbacks, reports.callbacks_url, dialect)
        return made
    except Fault as fault:
        raise SettingsError(f"carrier {carrier}: {fault}") from None


def callback_url(carrier: str, settings: AnySettings, public_url: str) -> Callable[[Facts], str]:
    """What {callback_url} is; empty where nobody can reach us or the plan has no callbacks."""
    callbacks = settings.callbacks
    if callbacks is None or not public_url:
        return lambda facts: ""
    url, query = f"{public_url.rstrip('/')}/v1/receipts/{quote(carrier, safe='')}", ""
    match callbacks.proof:
        case PathToken(token=token):
            url += "/" + token.reveal()
        case QueryToken(name=name, token=token):
            query = f"{quote_plus(name)}={quote_plus(token.reveal())}"
    known = {name: value for name, value in SINGLE.items() if name != "callback_url"}
    suffix = compiled(compile_url, callbacks.suffix, known, "callbacks.suffix")

    def fill(facts: Facts) -> str:
        end = str(suffix(facts))
        if not query:
            return url + end
        return f"{url}{end}{'&' if '?' in end else '?'}{query}"

    return fill

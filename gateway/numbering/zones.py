"""Time zones of the subjects of the Russian Federation, by their names as registries spell them.

In: a region such as `г. Томск|Томская обл.`. Out: IANA time zones. Source: Federal Law 107-FZ of 2011-06-03 "On the
calculation of time", article 5, as amended, and the file zone1970.tab of the IANA time zone database.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_BY_ZONE: Final[dict[tuple[str, ...], str]] = {
    ("Europe/Kaliningrad",): "калининград",
    ("Europe/Moscow",): """адыге белгород брянск владимир вологод воронеж дагестан донецк запорож иванов ингуш кабардин
        калмык калужск карача карел коми костром краснодар курск ленинград липецк луганск мари марий мордов москв
        московск мурманск нижегород новгород орлов осет ярослав пенз псков ростов рязан санкт петербург ставрополь
        смоленск тамбов татарстан тверск тульск херсон чеченск чечня чуваш архангельск ненецк кубан""",
    ("Europe/Simferopol",): "крым севастопол",
    ("Europe/Kirov",): "киров",
    ("Europe/Volgograd",): "волгоград",
    ("Europe/Astrakhan",): "астрахан",
    ("Europe/Saratov",): "саратов",
    ("Europe/Ulyanovsk",): "ульяновск",
    ("Europe/Samara",): "самар удмурт",
    ("Asia/Yekaterinburg",): "башк курган оренбург перм пермяцк свердлов тюмен ханты югра челябинск ямало",
    ("Asia/Omsk",): "омск",
    ("Asia/Barnaul",): "алтай",
    ("Asia/Novosibirsk",): "новосибирск",
    ("Asia/Tomsk",): "томск",
    ("Asia/Novokuznetsk",): "кемеров кузбасс",
    ("Asia/Krasnoyarsk",): "красноярск тыва тува хакас таймыр эвенк",
    ("Asia/Irkutsk",): "иркутск бурят усть",
    ("Asia/Chita",): "забайкал чита читинск агинск",
    ("Asia/Yakutsk",): "амурск",
    ("Asia/Yakutsk", "Asia/Khandyga", "Asia/Vladivostok", "Asia/Ust-Nera", "Asia/Srednekolymsk"): "саха якут",
    ("Asia/Vladivostok",): "приморск хабаровск еврейск",
    ("Asia/Magadan",): "магадан",
    ("Asia/Sakhalin", "Asia/Srednekolymsk"): "сахалин",
    ("Asia/Kamchatka",): "камчат корякск",
    ("Asia/Anadyr",): "чукот",
}
_ZONES: Final = {stem: zones for zones, stems in _BY_ZONE.items() for stem in stems.split()}
_STEM: Final = re.compile(r"\b(" + "|".join(sorted(_ZONES, key=len, reverse=True)) + r")\w*")
_FIRST: Final = re.compile(r"\b(ямало|коми\W+пермяцк|усть\W+ордын)")
_FIRST_ZONES: Final = {"я": ("Asia/Yekaterinburg",), "к": ("Asia/Yekaterinburg",), "у": ("Asia/Irkutsk",)}


@lru_cache(maxsize=65_536)
def of_region(region: str) -> tuple[str, ...]:
    """Zones that a number of the region may be in; none when the name is not known.

    `region` may be several names with `|` between them, the subject last, as the registry has them.
    """
    for part in reversed(region.split("|")):
        text = part.casefold().replace("ё", "е")
        if (found := _FIRST.search(text)) is not None:
            return _FIRST_ZONES[found[0][0]]
        zones = {_ZONES[m[1]]: None for m in _STEM.finditer(text)}
        if zones:
            return tuple(dict.fromkeys(zone for several in zones for zone in several))
    return ()

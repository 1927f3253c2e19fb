"""The one geo policy every server in this benchmark implements.

Continents map to clusters, 20 countries override their continent, everything
else (no location, unknown location, Antarctica) goes to `dflt`.
Each dynamic name belongs to a pool; (pool, cluster) -> 2..4 A records.
"""
ZONE = "stream.example.com"
TTL_DYN = 30
TTL_STATIC = 3600
POOLS = 16

CONTINENT_CLUSTER = {"EU": "eu", "NA": "na", "AS": "as", "SA": "sa", "OC": "oc", "AF": "eu"}
COUNTRY_CLUSTER = {
    "US": "us", "CA": "ca", "MX": "mx",
    "BR": "br", "AR": "ar",
    "DE": "de", "FR": "fr", "GB": "gb", "NL": "nl", "ES": "es", "IT": "it", "PL": "pl", "SE": "se",
    "JP": "jp", "KR": "kr", "IN": "in", "SG": "sg", "TR": "tr",
    "AU": "au", "ZA": "za",
}
DEFAULT = "dflt"
CLUSTERS = [DEFAULT] + sorted(set(CONTINENT_CLUSTER.values())) + sorted(set(COUNTRY_CLUSTER.values()))

_C = {
 "AF": "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
 "AN": "AQ BV GS HM TF",
 "AS": "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
 "EU": "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
 "NA": "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI",
 "OC": "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
 "SA": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
}
CONTINENT_OF = {c: k for k, v in _C.items() for c in v.split()}

# 127.N.0.0/16 is put into the generated database as this country, so that the
# source address alone (no ECS) also drives a location: 127.1.0.1 is in Germany.
# 127.0.0.0/16 stays without a location.
LOOPBACK_COUNTRY = {i + 1: c for i, c in enumerate(
    ["DE", "FR", "GB", "NL", "ES", "IT", "PL", "SE", "US", "CA", "MX", "BR", "AR",
     "JP", "KR", "IN", "SG", "TR", "AU", "ZA", "NZ", "CL", "NG", "AT", "CN"])}


def countries_of(continent):
    return _C[continent].split()


def cluster_for_country(cc):
    if not cc:
        return DEFAULT
    c = COUNTRY_CLUSTER.get(cc)
    if c:
        return c
    return CONTINENT_CLUSTER.get(CONTINENT_OF.get(cc, ""), DEFAULT)


def addrs(pool, cluster):
    """2..4 addresses out of 198.18.0.0/15 (benchmark space, RFC 2544)."""
    ci = CLUSTERS.index(cluster)
    n = 2 + (ci + pool) % 3
    base = (pool * len(CLUSTERS) + ci) * 4
    return ["198.%d.%d.%d" % (18 + ((base + j) >> 16 & 1), (base + j) >> 8 & 255, (base + j) & 255)
            for j in range(1, n + 1)] if base + n < (1 << 17) else None


def dynamic_names(workload):
    """[(relative name, pool)]"""
    base = [("live", 0), ("vod", 1), ("api", 2), ("edge", 3)] + [("ingest-%d" % i, 4 + i) for i in range(8)]
    if workload == "w2":
        return base + [("ch-%05d" % i, i % POOLS) for i in range(10000 - len(base))]
    return base


def static_names(workload):
    """[(relative name, type, rdata)]: about 50 names, or 100k for w3."""
    out = []
    n = 100000 if workload == "w3" else 50
    for i in range(n):
        nm = "s%06d" % i
        out.append((nm, "A", "203.0.113.%d" % (i % 254 + 1)))
        if i % 2 == 0:
            out.append((nm, "AAAA", "2001:db8:%x:%x::1" % ((i >> 16) + 1, (i & 0xffff) + 1)))
        if i % 5 == 0:
            out.append((nm, "TXT", '"v=pb1 id=%06d"' % i))
    return out

"""One config generator per peer. Each writes everything under `d` and returns the
command line (a list) that runs the server in the foreground on 127.0.0.1:port."""
import json, os
from . import policy as P

Z = P.ZONE
SOA = "ns1.%s. hostmaster.%s. 2026010101 7200 3600 1209600 300" % (Z, Z)


def w(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    return path


def head():
    return ("$ORIGIN %s.\n$TTL %d\n@ IN SOA %s\n@ IN NS ns1\n@ IN NS ns2\nns1 IN A 192.0.2.1\nns2 IN A 192.0.2.2\n"
            % (Z, P.TTL_STATIC, SOA))


def statics(wl):
    return "".join("%s IN %s %s\n" % r for r in P.static_names(wl))


def dyn_as_static(wl, cluster):
    return "".join("%s %d IN A %s\n" % (n, P.TTL_DYN, a) for n, pool in P.dynamic_names(wl) for a in P.addrs(pool, cluster))


def master_zone(wl, cluster=P.DEFAULT):
    return head() + statics(wl) + dyn_as_static(wl, cluster)


# Somewhere in the middle of each: rules decide before nearness does.
PLACES = {"EU": (50, 9), "NA": (40, -95), "AS": (30, 100), "SA": (-15, -60), "OC": (-25, 135), "AF": (5, 20)}


def steerdns(d, wl, port, mmdb, binary="steerdns", threads=1, **_):
    """Each pool is a policy over clusters of its own: rules by country, then by continent, then the default. Nodes are held up, as the
    peers hold theirs; what probes there are, one a target and hour, go to the server's own port."""
    pools = sorted({p for _, p in P.dynamic_names(wl)})
    key = lambda p, c: "p%d-%s" % (p, c)
    t = ['[check.own]\nkind = "tcp"\nport = %d\ninterval = "1h"\n' % port]
    for p in pools:
        for c in P.CLUSTERS:
            cont = next((P.CONTINENT_OF[k] for k, v in P.COUNTRY_CLUSTER.items() if v == c), None)
            cont = cont or next((k for k, v in P.CONTINENT_CLUSTER.items() if v == c), "EU")
            addresses = P.addrs(p, c)
            t.append('[cluster.%s]\nplace = [%d, %d]\ncheck = "own"\n[cluster.%s.node]\n' % ((key(p, c),) + PLACES[cont] + (key(p, c),)))
            t.append('%s-1 = { addresses = %s, probe = %s, override = { verdict = "up", why = "bench" } }\n'
                     % (key(p, c), json.dumps(addresses), json.dumps(["127.0.0.1"] * len(addresses))))
        t.append("[policy.p%d]\nclusters = %s\n" % (p, json.dumps([key(p, c) for c in P.CLUSTERS])))
        rule = lambda cond, c: '[[policy.p%d.rule]]\n%sprefer = ["%s"]\n' % (p, cond, key(p, c))
        t += [rule('from = { country = ["%s"] }\n' % cc, c) for cc, c in P.COUNTRY_CLUSTER.items()]
        # A country has the continent that the policy says, whatever the database does.
        t += [rule("from = { country = %s }\n" % json.dumps(P.countries_of(cont)), c) for cont, c in P.CONTINENT_CLUSTER.items()]
        t.append(rule("", P.DEFAULT))
    w(d + "/zones/clusters.toml", "".join(t))
    w(d + "/zones/%s.zone" % Z, head() + statics(wl))
    service = '[service.%s]\npolicy = "p%d"\ncheck = "own"\nttl = "%ds"\nanswers = 4\ndetect_within = "1h6s"\n'
    w(d + "/zones/%s.toml" % Z, "".join(service % (n, p, P.TTL_DYN) for n, p in P.dynamic_names(wl)))
    w(d + "/own.csv", "".join("127.%d.0.0/16,%s,,,\n" % x for x in P.LOOPBACK_COUNTRY.items()))
    w(d + "/steerdns.toml", """listen = ["127.0.0.1:%d"]
zones = "zones"
state = "state"
log = "error"
[udp]
threads = %d
[geoip]
databases = ["%s"]
geofeeds = ["own.csv"]
""" % (port, threads, mmdb))
    return [binary, "serve", "--config", d + "/steerdns.toml"]


def nodes_clusters(nodes_port, nodes, interval, rules):
    """As many nodes as pbnodes has, in 40 clusters, all probed. A second set of `rules` is another policy, so that going from one to the other
    compiles a map anew. Verdicts turn soon, so that nodes which flap are seen to."""
    per = -(-nodes // 40)
    t = ['[check.edge]\nkind = "tcp"\nport = %d\ninterval = "%s"\nfall = 2\nrise = 1\nhold_down = "0s"\n[policy.all]\n' % (nodes_port, interval)]
    t += ['[[policy.all.rule]]\nfrom = { country = ["%s"] }\nprefer = ["c%d"]\n' % (cc, (i + rules) % 40) for i, cc in enumerate(P.COUNTRY_CLUSTER)]
    for c in range(40):
        t.append("[cluster.c%d]\nplace = [%d, %d]\n[cluster.c%d.node]\n" % (c, c % 10 * 10 - 45, c // 10 * 90 - 170, c))
        t += ['n%d = { addresses = ["198.18.%d.%d"], probe = ["127.1.%d.%d"] }\n' % ((n,) + (n >> 8, n & 255) * 2) for n in range(c * per, min(nodes, (c + 1) * per))]
    return "".join(t)


def steerdns_nodes(d, port, mmdb, clusters, binary="steerdns"):
    """The names of w1 over the clusters of nodes_clusters."""
    w(d + "/zones/clusters.toml", clusters)
    w(d + "/zones/%s.zone" % Z, head())
    service = '[service.%s]\npolicy = "all"\ncheck = "edge"\nipv6 = "off"\nttl = "%ds"\nanswers = 4\ndetect_within = "3h"\n'
    w(d + "/zones/%s.toml" % Z, "".join(service % (n, P.TTL_DYN) for n, _ in P.dynamic_names("w1")))
    w(d + "/steerdns.toml", """listen = ["127.0.0.1:%d"]
zones = "zones"
state = "state"
[udp]
threads = 1
[geoip]
databases = ["%s"]
""" % (port, mmdb))
    return [binary, "serve", "--config", d + "/steerdns.toml"]


def gdnsd(d, wl, port, mmdb, **_):
    by = {}
    for cc, cl in P.COUNTRY_CLUSTER.items():
        by.setdefault(P.CONTINENT_OF[cc], {})[cc] = cl
    m = "default => [%s]\n" % P.DEFAULT
    for cont in ("EU", "NA", "AS", "SA", "OC", "AF", "AN"):
        inner = "default => [%s] " % P.CONTINENT_CLUSTER.get(cont, P.DEFAULT)
        inner += " ".join("%s => [%s]" % kv for kv in sorted(by.get(cont, {}).items()))
        m += "        %s => { %s }\n" % (cont, inner)
    res = ""
    for p in range(P.POOLS):
        res += "      pool%d => { map => m, service_types => up, dcmap => {\n" % p
        res += "".join("        %s => [%s]\n" % (c, ", ".join(P.addrs(p, c))) for c in P.CLUSTERS) + "      }}\n"
    w(d + "/config", """options => {
  listen => 127.0.0.1, dns_port => %d, udp_threads => 1, tcp_threads => 1
  run_dir => "%s/run", state_dir => "%s/state"
}
plugins => { geoip => {
  maps => { m => {
      geoip2_db => "%s"
      datacenters => [%s]
      map => {
        %s      }
  }}
  resources => {
%s  }
}}
""" % (port, d, d, mmdb, ", ".join(P.CLUSTERS), m, res))
    for x in ("run", "state", "geoip"):
        os.makedirs(d + "/" + x, exist_ok=True)
    w(d + "/zones/" + Z, head() + statics(wl) + "".join("%s %d DYNA geoip!pool%d\n" % (n, P.TTL_DYN, p) for n, p in P.dynamic_names(wl)))
    return ["gdnsd", "-c", d, "start"]


def _knot(d, wl, port, mmdb, geo):
    os.makedirs(d + "/run", exist_ok=True)
    w(d + "/zone.zone", master_zone(wl))
    mod = zmod = ""
    if geo:
        out = []
        for n, pool in P.dynamic_names(wl):
            out.append("%s.%s:\n" % (n, Z))
            for cont, cl in P.CONTINENT_CLUSTER.items():
                out.append('  - geo: "%s;*"\n    A: [ %s ]\n' % (cont, ", ".join(P.addrs(pool, cl))))
            for cc, cl in P.COUNTRY_CLUSTER.items():
                out.append('  - geo: "%s;%s"\n    A: [ %s ]\n' % (P.CONTINENT_OF[cc], cc, ", ".join(P.addrs(pool, cl))))
        w(d + "/geo.conf", "".join(out))
        mod = """mod-geoip:
  - id: geo
    config-file: %s/geo.conf
    ttl: %d
    mode: geodb
    geodb-file: %s
    geodb-key: [ continent/code, country/iso_code ]
""" % (d, P.TTL_DYN, mmdb)
        zmod = "    module: mod-geoip/geo\n"
    w(d + "/knot.conf", """server:
    listen: 127.0.0.1@%d
    rundir: %s/run
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: %s
log:
  - target: stderr
    any: error
database:
    storage: %s/db
%szone:
  - domain: %s
    file: %s/zone.zone
    zonefile-sync: -1
    journal-content: none
%s""" % (port, d, "on" if geo else "off", d, mod, Z, d, zmod))
    return ["knotd", "-c", d + "/knot.conf"]


def knot(d, wl, port, mmdb, **_):
    return _knot(d, wl, port, mmdb, True)


def knot_static(d, wl, port, mmdb, **_):
    return _knot(d, wl, port, mmdb, False)


def _pdns(d, wl, port, mmdb, extra):
    cl = {c: c for c in P.CLUSTERS}
    y = ["domains:\n- domain: %s\n  ttl: %d\n  records:\n    %s:\n      - soa: %s\n      - ns: ns1.%s\n      - ns: ns2.%s\n"
         % (Z, P.TTL_STATIC, Z, SOA, Z, Z)]
    y.append("    ns1.%s:\n      - a: 192.0.2.1\n    ns2.%s:\n      - a: 192.0.2.2\n" % (Z, Z))
    last = None
    for n, t, v in P.static_names(wl):
        if n != last:
            y.append("    %s.%s:\n" % (n, Z))
            last = n
        y.append("      - %s: %s\n" % (t.lower(), "'%s'" % v if t == "TXT" else v))
    for p in range(P.POOLS):
        for c in P.CLUSTERS:
            y.append("    %s.pool%d.geo.%s:\n" % ("unknown" if c == P.DEFAULT else cl[c], p, Z))
            for a in P.addrs(p, c):
                y.append("      - a: {content: %s, ttl: %d}\n" % (a, P.TTL_DYN))
    y.append("  services:\n")
    for n, p in P.dynamic_names(wl):
        y.append("    %s.%s: '%%mp.pool%d.geo.%s'\n" % (n, Z, p, Z))
    y.append("  mapping_lookup_formats: ['%cn-%cc', 'k-%cn']\n  custom_mapping:\n")
    for cc, c in P.COUNTRY_CLUSTER.items():
        y.append("    %s-%s: %s\n" % (P.CONTINENT_OF[cc].lower(), cc.lower(), c))
    for k, c in P.CONTINENT_CLUSTER.items():
        y.append("    k-%s: %s\n" % (k.lower(), c))
    w(d + "/zones.yaml", "".join(y))
    os.makedirs(d + "/run", exist_ok=True)
    w(d + "/pdns.conf", """launch=geoip
geoip-zones-file=%s/zones.yaml
geoip-database-files=mmdb:%s
local-address=127.0.0.1
local-port=%d
receiver-threads=1
distributor-threads=1
edns-subnet-processing=yes
daemon=no
guardian=no
socket-dir=%s/run
disable-syslog=yes
loglevel=2
log-dns-queries=no
log-dns-details=no
query-logging=no
security-poll-suffix=
webserver=no
api=no
version-string=anonymous
%s""" % (d, mmdb, port, d, extra))
    return ["pdns_server", "--config-dir=" + d]


def pdns(d, wl, port, mmdb, **_):
    return _pdns(d, wl, port, mmdb, "")


def pdns_nocache(d, wl, port, mmdb, **_):
    return _pdns(d, wl, port, mmdb, "cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n")


def _named(d, wl, port, mmdb, views):
    os.makedirs(d + "/geoip", exist_ok=True)
    for n in ("GeoIP2-City.mmdb", "GeoIP2-Country.mmdb"):
        p = d + "/geoip/" + n
        if os.path.lexists(p):
            os.unlink(p)
        os.symlink(mmdb, p)
    c = """options {
  directory "%s"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; minimal-responses yes; dnssec-validation no; notify no; allow-transfer { none; };
  querylog no; pid-file "%s/named.pid"; session-keyfile "%s/session.key"; lock-file none;
  geoip-directory "%s/geoip"; empty-zones-enable no; version none; hostname none;
};
controls { };
logging { channel n { null; }; channel e { stderr; severity error; }; category default { e; }; category queries { n; }; category query-errors { n; }; };
""" % (d, port, d, d, d)
    z = lambda f: 'zone "%s" { type primary; file "%s"; };' % (Z, f)
    if views:
        vs = [("cc_" + cc, "geoip country " + cc, cl) for cc, cl in P.COUNTRY_CLUSTER.items()]
        vs += [("cont_" + k, "geoip continent " + k, cl) for k, cl in P.CONTINENT_CLUSTER.items()]
        vs += [("rest", "any", P.DEFAULT)]
        for v, acl, cl in vs:
            f = w("%s/%s.zone" % (d, v), master_zone(wl, cl))
            c += 'view "%s" { match-clients { %s; }; %s };\n' % (v, acl, z(f))
    else:
        c += z(w(d + "/zone.zone", master_zone(wl))) + "\n"
    w(d + "/named.conf", c)
    return ["named", "-f", "-c", d + "/named.conf", "-n", "1", "-U", "1"]


def named(d, wl, port, mmdb, **_):
    return _named(d, wl, port, mmdb, True)


def named_static(d, wl, port, mmdb, **_):
    return _named(d, wl, port, mmdb, False)


def nsd(d, wl, port, mmdb, **_):
    w(d + "/zone.zone", master_zone(wl))
    w(d + "/nsd.conf", """server:
  server-count: 1
  ip-address: 127.0.0.1@%d
  do-ip6: no
  verbosity: 0
  minimal-responses: yes
  database: ""
  zonesdir: "%s"
  username: ""
  chroot: ""
  pidfile: "%s/nsd.pid"
  xfrdfile: "%s/xfrd.state"
  zonelistfile: "%s/zone.list"
  xfrdir: "%s"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  tcp-count: 1000
remote-control:
  control-enable: no
zone:
  name: %s
  zonefile: zone.zone
""" % (port, d, d, d, d, d, Z))
    return ["nsd", "-d", "-c", d + "/nsd.conf"]


def hickory(d, wl, port, mmdb, binary="hickory-dns", **_):
    w(d + "/zone.zone", master_zone(wl))
    w(d + "/named.toml", """listen_addrs_ipv4 = ["127.0.0.1"]
listen_port = %d
directory = "%s"
user = "nobody"
group = "nogroup"
[[zones]]
zone = "%s"
zone_type = "Primary"
file = "zone.zone"
""" % (port, d, Z))
    return [binary, "-c", d + "/named.toml", "-q", "--workers", "1"]

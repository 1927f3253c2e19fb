//! Media servers and publishers with configurations of their own: the words that start them.
#![allow(dead_code)] // Each test binary uses its own part.

use std::net::SocketAddr;
use std::path::Path;

pub(crate) const NGINX: &str = "/usr/sbin/nginx";
pub(crate) const RTMP_MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// nginx in one process, which takes `live` by RTMP and serves it as HLS under /hls, beside the files of `directory`. Segments
/// are of a second.
pub(crate) fn nginx(directory: &Path, rtmp: SocketAddr, http: SocketAddr) -> Vec<String> {
    let root = directory.display();
    let config = format!(
        "daemon off; master_process off; user root root; pid nginx.pid; error_log error.log; load_module {RTMP_MODULE};
        events {{ worker_connections 256; }}
        http {{
            access_log off; client_body_temp_path body; proxy_temp_path proxy;
            fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen {http}; location / {{ root {root}; }} }}
        }}
        rtmp {{ access_log off; server {{ listen {rtmp}; application live {{
            live on; hls on; hls_path {root}/hls; hls_fragment 1s; hls_playlist_length 6s; hls_cleanup off;
        }} }} }}",
    );
    std::fs::write(directory.join("nginx.conf"), config).unwrap();
    [NGINX, "-p", &root.to_string(), "-c", "nginx.conf", "-e", "error.log"].map(String::from).into()
}

/// node-media-server, which takes `live` by RTMP and serves it as HTTP-FLV.
pub(crate) fn node_media_server(rtmp: SocketAddr, http: SocketAddr) -> Vec<String> {
    let script = format!(
        "const Server = require('node-media-server');
        new Server({{ bind: '{}', rtmp: {{ port: {} }}, http: {{ port: {} }}, auth: {{ play: false, publish: false }},
            static: {{ router: '/static', root: '{}' }}, record: {{ path: '' }} }}).run();",
        rtmp.ip(),
        rtmp.port(),
        http.port(),
        std::env::temp_dir().display(),
    );
    ["node".into(), "-e".into(), script].into()
}

/// A test picture and a tone, ten pictures and 43 pieces of sound a second and a key frame each second, sent by RTMP as fast as
/// they are played.
pub(crate) fn publisher(to: SocketAddr, stream: &str) -> Vec<String> {
    let words = "ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc=size=128x72:rate=10 -f lavfi -i sine \
                 -c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p -c:a aac -f flv";
    let url = format!("rtmp://{to}/live/{stream}");
    words.split_whitespace().map(String::from).chain([url]).collect()
}

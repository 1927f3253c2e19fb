#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| steerdns_fuzz::master_file(octets));

//! Asks somebody else, or ends where it can't.

use crate::honest::*;

adversary!("adv-network");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        scan(rows, query, out);
    }
}

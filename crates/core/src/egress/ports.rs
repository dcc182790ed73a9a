//! Ports that belong to something else than a webhook receiver.

/// The "bad ports" of the Fetch standard (2.9), and then databases, queues and control planes that
/// answer to HTTP or can be spoken to through it. Sorted.
const BAD: [u16; 100] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3659, 4045, 4190, 4222, 5060,
    5061, 5432, 5672, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 8500, 9042,
    9092, 9200, 10080, 10250, 11211, 27017,
];

/// Whether this port is refused unless a rule opens it.
pub(super) fn is_bad(port: u16) -> bool {
    BAD.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_leaves_the_usual_ports_open() {
        assert!(BAD.is_sorted());
        for port in [80, 443, 3000, 4000, 5000, 8000, 8080, 8443, 9000, 65_535] {
            assert!(!is_bad(port), "{port}");
        }
        for port in [0, 22, 25, 5432, 6379, 11211] {
            assert!(is_bad(port), "{port}");
        }
    }
}

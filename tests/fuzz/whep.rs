//! Offers of viewers: SDP, read by us and then by the WebRTC library.

use hawker::deliver::fuzz::Answering;

use crate::campaign;
use crate::mutate::{Chance, damage};

#[test]
fn whep() {
    let _turn = campaign::turn();
    let answering = Answering::new().unwrap();
    assert!(answering.answer(OFFER), "the good offer is answered");
    let (mut read, mut answered) = (0u64, 0u64);
    campaign::run("whep", 500, |_, chance, watch| {
        let offer = damaged(chance);
        watch.about(offer.as_bytes());
        // The library takes a thousand times as long as we do.
        let good = answering.read(&offer);
        read += u64::from(good);
        answered += u64::from(good && answering.answer(&offer));
    });
    println!("whep: {read} offers could be read, {answered} were answered");
    assert!(answered > 0);
}

fn damaged(chance: &mut Chance) -> String {
    let mut lines: Vec<Vec<u8>> = OFFER.lines().map(|line| line.as_bytes().to_vec()).collect();
    for _ in 0..1 + chance.below(4) {
        let (at, other) = (chance.below(lines.len()), chance.below(lines.len()));
        match chance.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => {
                // A value that begins like another.
                let from = lines[other].iter().position(|&byte| byte == b':').unwrap_or(0);
                let upto = lines[at].iter().position(|&byte| byte == b':').unwrap_or(0);
                lines[at] = [&lines[at][..upto], &lines[other][from..]].concat();
            }
            4 => {
                // Another number.
                let number =
                    *chance.one_of(&["0", "-1", "127", "128", "255", "65536", "4294967296", "99999999999999999999"]);
                let text = String::from_utf8_lossy(&lines[at]).into_owned();
                let digits: Vec<&str> = text.split_inclusive(|c: char| !c.is_ascii_digit()).collect();
                let chosen = chance.below(digits.len());
                let swapped = digits.iter().enumerate().map(|(n, part)| {
                    let tail = part.trim_start_matches(|c: char| c.is_ascii_digit());
                    if n == chosen && tail.len() < part.len() { format!("{number}{tail}") } else { (*part).to_owned() }
                });
                lines[at] = swapped.collect::<String>().into_bytes();
            }
            _ => {
                let other = lines[other].clone();
                damage(&mut lines[at], &other, chance);
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    let line_end = if chance.once_in(8) { "\n" } else { "\r\n" };
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned() + line_end).collect()
}

/// After Chromium 120's, with fewer formats.
const OFFER: &str = "\
v=0\r
o=- 4611731400430051336 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE 0 1 2\r
a=extmap-allow-mixed\r
a=msid-semantic: WMS\r
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 106 107\r
c=IN IP4 0.0.0.0\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=candidate:1 1 udp 2113937151 192.0.2.7 54321 typ host generation 0 network-cost 999\r
a=ice-ufrag:8hhY\r
a=ice-pwd:asd88fgpdd777uzjYhagZg\r
a=ice-options:trickle\r
a=fingerprint:sha-256 77:82:1C:C2:6B:80:DB:F1:5C:0E:39:84:12:BB:03:AC:51:22:62:4A:61:8B:0D:DE:01:3E:76:3F:B6:5B:C4:E4\r
a=setup:actpass\r
a=mid:0\r
a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r
a=extmap:3 urn:3gpp:video-orientation\r
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r
a=recvonly\r
a=rtcp-mux\r
a=rtcp-rsize\r
a=rtpmap:96 VP8/90000\r
a=rtcp-fb:96 nack pli\r
a=rtpmap:97 rtx/90000\r
a=fmtp:97 apt=96\r
a=rtpmap:102 H264/90000\r
a=rtcp-fb:102 goog-remb\r
a=rtcp-fb:102 ccm fir\r
a=rtcp-fb:102 nack\r
a=rtcp-fb:102 nack pli\r
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r
a=rtpmap:103 rtx/90000\r
a=fmtp:103 apt=102\r
a=rtpmap:106 H264/90000\r
a=rtcp-fb:106 nack pli\r
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r
a=rtpmap:107 rtx/90000\r
a=fmtp:107 apt=106\r
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:8hhY\r
a=ice-pwd:asd88fgpdd777uzjYhagZg\r
a=fingerprint:sha-256 77:82:1C:C2:6B:80:DB:F1:5C:0E:39:84:12:BB:03:AC:51:22:62:4A:61:8B:0D:DE:01:3E:76:3F:B6:5B:C4:E4\r
a=setup:actpass\r
a=mid:1\r
a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r
a=recvonly\r
a=rtcp-mux\r
a=rtpmap:111 opus/48000/2\r
a=rtcp-fb:111 transport-cc\r
a=fmtp:111 minptime=10;useinbandfec=1\r
a=rtpmap:63 red/48000/2\r
a=fmtp:63 111/111\r
a=rtpmap:9 G722/8000\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:8hhY\r
a=ice-pwd:asd88fgpdd777uzjYhagZg\r
a=fingerprint:sha-256 77:82:1C:C2:6B:80:DB:F1:5C:0E:39:84:12:BB:03:AC:51:22:62:4A:61:8B:0D:DE:01:3E:76:3F:B6:5B:C4:E4\r
a=setup:actpass\r
a=mid:2\r
a=sctp-port:5000\r
a=max-message-size:262144\r
";

//! The extensions and the Kubernetes libraries.

use serde_json::json;

use crate::grammar::{check, run};

#[test]
fn strings() {
    check(&[
        ("'hello'.charAt(1) + 'hello'.substring(1, 3) + 'hello'.substring(4)", json!("eelo")),
        (
            "'hello mellow'.indexOf('ello') + 'hello mellow'.indexOf('ello', 2) + 'hello mellow'.lastIndexOf('ello')",
            json!(1 + 7 + 7),
        ),
        ("'abc'.indexOf('z')", json!(-1)),
        ("'a,b,c'.split(',')", json!(["a", "b", "c"])),
        ("'a,b,c'.split(',', 2)", json!(["a", "b,c"])),
        ("'abc'.split('')", json!(["a", "b", "c"])),
        ("['a', 'b'].join('-') + ['x'].join()", json!("a-bx")),
        ("'aaa'.replace('a', 'b', 2)", json!("bba")),
        ("' x '.trim() + 'aB'.lowerAscii() + 'aB'.upperAscii() + 'ab'.reverse()", json!("xabABba")),
        ("'é€'.size() == 2 && size(b'\\xc3\\xa9') == 2", json!(true)),
        ("'%s is %d, %.2f, %x, %b%%'.format(['a', 5, 1.239, 255, 5])", json!("a is 5, 1.24, ff, 101%")),
        ("'%s'.format([[1, 'a', {'k': true}]])", json!("[1, \"a\", {\"k\":true}]")),
        ("strings.quote('a\"b\\n')", json!("\"a\\\"b\\n\"")),
        ("string(1.5) + string(1) + string(true) + string(b'x') + string(1e30)", json!("1.51truex1e+30")),
        ("string(duration('90m')) + string(timestamp('2024-01-02T03:04:05.5Z'))", json!("5400s2024-01-02T03:04:05.5Z")),
        ("string(base64.decode('aGk=')) + base64.encode(b'hi')", json!("hiaGk=")),
        ("'nginx:1'.matches('^[a-z]+:\\\\d$') && 'abc'.find('b.') == 'bc'", json!(true)),
        ("'a1b22'.findAll('[0-9]+') + 'a1b22'.findAll('[0-9]+', 1)", json!(["1", "22", "1"])),
        ("regex.replace('foo bar', '(fo)o (ba)r', '\\\\2 \\\\1')", json!("ba fo")),
        ("regex.extract('item-A, item-B', 'item-(\\\\w+)').value()", json!("A")),
        ("regex.extractAll('id:1, id:2', 'id:\\\\d')", json!(["id:1", "id:2"])),
    ]);
}

#[test]
fn lists_sets_and_math() {
    check(&[
        ("[1, 2, 2].isSorted() && [3, 1, 2].sum() == 6 && [3, 1].min() == 1 && ['a', 'c'].max() == 'c'", json!(true)),
        ("[1.5, 2.5].sum()", json!(4)),
        ("[1, 2, 1].indexOf(1) + [1, 2, 1].lastIndexOf(1)", json!(2)),
        (
            "[1, 2, 1].distinct() + [3, 1].sort() + [1, 2].reverse() + [1, 2, 3].slice(1, 2)",
            json!([1, 2, 1, 3, 2, 1, 2]),
        ),
        ("[1, [2, [3]]].flatten()", json!([1, 2, [3]])),
        ("[1, [2, [3]]].flatten(2)", json!([1, 2, 3])),
        ("lists.range(3)", json!([0, 1, 2])),
        ("[1].first().value() + [].last().orValue(5)", json!(6)),
        ("sets.contains([1, 2, 3], [3, 1]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])", json!(true)),
        ("math.greatest(1, 2.5, 2u) == 2.5 && math.least([3, 1]) == 1", json!(true)),
        ("math.ceil(1.2) + math.floor(1.8) + math.round(2.5) + math.trunc(-1.5)", json!(5)),
        ("math.abs(-3) + math.sign(-9) + math.bitAnd(6, 3) + math.bitShiftLeft(1, 3)", json!(12)),
        ("math.round(1.2345, 2)", json!(1.23)),
        ("int('7') + int(3.9) + int(2u) + int(duration('1ns'))", json!(13)),
        ("double('1.5') + double(1) + double(2u)", json!(4.5)),
        ("uint('3') == 3u && bool('true') && !bool('0')", json!(true)),
    ]);
}

#[test]
fn kubernetes_libraries() {
    check(&[
        (
            "quantity('1.5Gi').isGreaterThan(quantity('1500M')) && quantity('100m').isLessThan(quantity('1'))",
            json!(true),
        ),
        ("quantity('1Gi').add(quantity('512Mi')).compareTo(quantity('1536Mi'))", json!(0)),
        ("quantity('5').sub(2).asInteger() + quantity('-1').sign()", json!(2)),
        ("isQuantity('1Gx') || quantity('1.5').isInteger()", json!(false)),
        ("quantity('1Ki') == quantity('1024')", json!(true)),
        ("semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).patch() == 0", json!(true)),
        ("isSemver('v1.0.0')", json!(false)),
        ("ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('1.2.3') && ip('127.0.0.1').isLoopback()", json!(true)),
        (
            "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD') && ip('8.8.8.8').isGlobalUnicast()",
            json!(true),
        ),
        (
            "cidr('192.168.0.0/16').containsIP('192.168.1.1') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
            json!(true),
        ),
        (
            "string(cidr('192.168.1.7/24').masked()) + string(cidr('192.168.1.7/24').ip())",
            json!("192.168.1.0/24192.168.1.7"),
        ),
        ("cidr('::/0').prefixLength() == 0 && !isCIDR('10.0.0.0/33')", json!(true)),
        ("isURL('https://a.test') && !isURL('no url')", json!(true)),
        ("url('https://a.test:80/p/q?x=1&x=2&y=').getQuery()", json!({"x": ["1", "2"], "y": [""]})),
        (
            "[url('https://[::1]:80/p').getHost(), url('https://[::1]:80/p').getHostname(), url('https://a:1').getPort(), url('HTTP://a').getScheme(), url('/x').getEscapedPath()]",
            json!(["[::1]:80", "::1", "1", "http", "/x"]),
        ),
        (
            "format.dns1123Label().validate('Bad').hasValue() && !format.named('uuid').value().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
            json!(true),
        ),
        (
            "format.qualifiedName().validate('a.test/b').hasValue() || format.date().validate('2024-02-30').orValue([]).size() != 1",
            json!(false),
        ),
    ]);
    assert!(run("url('not a url')").is_err());
    assert!(run("ip('::ffff:1.2.3.4')").is_err());
}

#[test]
fn times() {
    check(&[
        ("timestamp('2024-02-29T12:30:45.678Z').getMonth() + timestamp('2024-02-29T12:30:45Z').getDate()", json!(30)),
        ("timestamp('2024-02-29T23:30:45Z').getHours('+01:00')", json!(0)),
        (
            "timestamp('2024-03-01T00:00:00Z').getDayOfYear() + timestamp('2024-03-01T00:00:00Z').getDayOfWeek()",
            json!(65),
        ),
        (
            "timestamp('2024-02-29T12:30:45.678Z').getMilliseconds() + duration('1h1.5s').getSeconds() + duration('90m').getHours()",
            json!(678 + 3601 + 1),
        ),
        ("timestamp('2024-01-01T00:00:00Z') + duration('24h') == timestamp('2024-01-02T00:00:00Z')", json!(true)),
        ("timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') > duration('23h59m')", json!(true)),
        ("int(timestamp('1970-01-01T00:01:00+00:01'))", json!(0)),
        ("string(time.truncate(timestamp('2024-01-02T03:04:05Z'), duration('1h')))", json!("2024-01-02T03:00:00Z")),
        ("time.toCron(timestamp('2024-01-02T03:04:05Z'))", json!("4 3 2 1 2")),
    ]);
    assert!(run("now()").is_err());
    assert!(run("timestamp('2024-01-02T00:00:00Z').getHours('Mars/Base')").is_err());
}

//! The shipped tables, held against what they must say.

use super::*;

#[test]
fn every_customer_of_a_cloud_is_a_tenant_of_its_own() {
    let intel = Intel::shipped();
    let ip = "198.51.100.7".parse().unwrap();
    for (what, name, tenant) in [
        ("an ordinary site", "www.example.co.jp", "example.co.jp"),
        ("a blob account", "acct.blob.core.windows.net", "acct.blob.core.windows.net"),
        ("a bucket", "b.s3.ap-northeast-1.amazonaws.com", "b.s3.ap-northeast-1.amazonaws.com"),
        ("a distribution", "d1.cloudfront.net", "d1.cloudfront.net"),
        ("a web app", "x.azurewebsites.net", "x.azurewebsites.net"),
        ("a tunnel", "a-b-c.trycloudflare.com", "a-b-c.trycloudflare.com"),
        ("a dynamic name below a host", "www.evil.duckdns.org", "evil.duckdns.org"),
        ("a bucket behind a region", "b.oss-cn-hangzhou.aliyuncs.com", "b.oss-cn-hangzhou.aliyuncs.com"),
        (
            "a bucket behind a service and region",
            "b.s3.us-west-002.backblazeb2.com",
            "b.s3.us-west-002.backblazeb2.com",
        ),
        ("an account of a business service", "acme.sharepoint.com", "acme.sharepoint.com"),
        ("a shared name", "storage.googleapis.com", "storage.googleapis.com"),
        ("upper case with a port", "WWW.Example.COM:8443", "example.com"),
        ("an address as host", "198.51.100.7:80", "198.51.100.0/24"),
        ("an internationalised name", "www.xn--r8jz45g.jp", "xn--r8jz45g.jp"),
    ] {
        assert_eq!(&*intel.tenant(Some(name), ip).0, tenant, "{what}");
    }
    assert_eq!(&*intel.tenant(None, "2001:db8:1:2::3".parse().unwrap()).0, "2001:db8:1::/48");
}

#[test]
fn fingerprints_are_told_by_ja4_before_ja3() {
    let intel = Intel::shipped();
    let curl =
        intel.fingerprint(Some("0149f47eabf9a20d0893e2a44e5a6323"), Some("t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"));
    assert!(curl.unwrap().client.contains("--http1.1"));
    assert_eq!(intel.fingerprint(Some("0149f47eabf9a20d0893e2a44e5a6323"), None).unwrap().kind.as_ref(), "tool");
    assert_eq!(intel.fingerprint(None, None), None);
}

#[test]
fn a_port_suggests_a_product_unless_everybody_uses_it_and_a_vendor_is_known_by_name() {
    let intel = Intel::shipped();
    let on = |port, kind| intel.product_on(Transport::Tcp, port, &[kind]).is_some();
    assert!(on(21112, "av-management") && on(8530, "patch") && on(5938, "rmm"));
    assert!(!on(443, "rmm") && !on(445, "directory") && !on(21112, "rmm"));
    let vendor = |name, kind| intel.is_vendor(name, &[kind]);
    assert!(vendor("x.activeupdate.trendmicro.com", "av-management"));
    assert!(!vendor("x.activeupdate.trendmicro.com", "backup") && !vendor("nottrendmicro.com", "av-management"));
}

#[test]
fn places_come_from_the_name_and_else_from_the_address() {
    let intel = Intel::shipped();
    let nowhere = "198.51.100.7".parse().unwrap();
    let aws = "52.219.0.1".parse().unwrap(); // Amazon's published S3 range of ap-northeast-1.
    for (what, name, ip, provider, class, shared) in [
        (
            "a blob account",
            Some("acct.blob.core.windows.net"),
            nowhere,
            Some("microsoft-azure"),
            Some("object-storage"),
            false,
        ),
        ("a path-style bucket", Some("s3.amazonaws.com"), nowhere, Some("aws"), Some("object-storage"), true),
        ("an update server", Some("ctldl.windowsupdate.com"), nowhere, Some("microsoft"), Some("update-infra"), false),
        ("a code host", Some("raw.githubusercontent.com"), nowhere, Some("github"), Some("code-hosting"), true),
        ("a storage address", None, aws, Some("aws"), Some("object-storage"), false),
        ("an unknown name on a storage address", Some("cdn.example"), aws, Some("aws"), Some("object-storage"), false),
        ("nobody's", Some("www.example"), nowhere, None, None, false),
    ] {
        assert_eq!(intel.place(name, ip), Place { provider, class, shared }, "{what}");
    }
    assert_eq!(&*intel.tenant(None, aws).0, "aws/52.219.0.0/24");
}

#[test]
fn user_agents_are_told_and_every_pattern_matches_its_own_example() {
    let mut wrong = Vec::new();
    table::rows(USER_AGENTS, ["regex", "example"], |[regex, example]| {
        if !example.is_empty() && !regex::Regex::new(regex).unwrap().is_match(example) {
            wrong.push(format!("{regex:?} does not match {example:?}"));
        }
        Ok(())
    })
    .unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let intel = Intel::shipped();
    for (what, text, kind) in [
        ("PowerShell behind Mozilla", "Mozilla/5.0 (Windows NT; ja-JP) WindowsPowerShell/5.1.19041.1", Some("script")),
        ("WinRM", "Microsoft WinRM Client", Some("tool")),
        ("nobody's", "nothing anybody knows", None),
    ] {
        assert_eq!(intel.user_agent(text).map(|c| &*c.kind), kind, "{what}");
    }
}

#[test]
fn every_source_of_the_tables_has_its_licence_stated() {
    let readme = include_str!("../../rules/intel/LICENSES.md");
    let listed: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let mut missing = Vec::new();
    for (file, csv) in [
        ("cloud_domains.csv", CLOUD_DOMAINS),
        ("cloud_ranges.csv", CLOUD_RANGES),
        ("dcerpc_operations.csv", include_str!("../../rules/intel/dcerpc_operations.csv")),
        ("tls_fingerprints.csv", TLS_FINGERPRINTS),
        ("remote_exec_artifacts.csv", include_str!("../../rules/intel/remote_exec_artifacts.csv")),
    ] {
        table::rows(csv, ["source"], |[source]| {
            let stated = |line: &&&str| line.starts_with(&format!("| `{source}` |")) && line.contains(file);
            if !listed.iter().any(|line| stated(&line)) {
                missing.push(format!("{file}: {source}"));
            }
            Ok(())
        })
        .unwrap();
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "not in rules/intel/LICENSES.md:\n{}", missing.join("\n"));
}

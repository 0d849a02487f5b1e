//! What an operator writes anew, as a specification of whom it concerns: also those met before.

use super::analysis::{Analysis, Told};
use super::world::World;
use crate::alert::Rules;
use crate::event::Site;
use crate::intel::{Feeds, Intel, Tables};
use crate::profile::Declared;
use std::sync::Arc;

/// Tables in which the vendor's name is of a class.
fn intel(class: &str) -> Arc<Intel> {
    let mut tables = Tables::shipped();
    let text = format!("{}\nvendor.example,vendor,{class},,curated\n", tables.text("cloud_domains.csv").trim_end());
    tables.replace("cloud_domains.csv", text);
    Arc::new(Intel::new(&tables, Feeds::default()).unwrap())
}

/// An hour of a machine that asks a vendor every minute, with tables that are read anew after ten minutes.
fn told(before: &str, after: &str) -> Told {
    let mut world = World::new(1_600_000_000);
    world.background();
    world.beacon(600, "172.16.2.9", "198.51.100.9", 443, Some("a.vendor.example"), 120, 60);
    let site = Site::new(&["172.16.0.0/16".parse().unwrap()], &[]);
    let declared = Arc::new(Declared { site, hosts: vec![], policies: vec![], utc_offset_s: 0 });
    let rules = Rules::shipped();
    let mut analysis = Analysis::new(Arc::clone(&declared), intel(before), &rules).unwrap();
    let seen = world.observations();
    let (first, last) = (seen.first().unwrap().ts, seen.last().unwrap().ts);
    let mut is_read = false;
    for observation in &seen {
        if !is_read && observation.ts.secs_since(first) > 1_200.0 {
            is_read = true;
            analysis.follow(Arc::clone(&declared), intel(after), &rules).unwrap();
        }
        analysis.observe(observation);
    }
    analysis.finish(last)
}

#[test]
fn who_was_met_before_the_tables_were_read_anew_is_what_they_say_now() {
    let beacons = |told: &Told| {
        told.findings.iter().map(|stated| &stated.finding).filter(|finding| finding.detector == "beacon").count()
    };
    for (what, before, after, found) in [
        ("as before", "saas", "saas", 1),
        ("found to be the vendor's updates", "saas", "update-infra", 0),
        ("found to be no updates", "update-infra", "saas", 1),
        ("updates as before", "update-infra", "update-infra", 0),
    ] {
        assert_eq!(beacons(&told(before, after)), found, "{what}");
    }
}

//! A fleet that lives on one thread while another looks at it: a tenth and more of a long trial's time.

use crate::fleet::Fleet;
use std::sync::mpsc::sync_channel;
use std::thread;
use yukue::event::Observation;

/// Shows the fleet's next quarter of an hour, in order; false when its story is over and all was shown.
pub(crate) fn go_on(fleet: &mut Fleet, see: impl FnMut(Observation)) -> bool {
    let (put, take) = sync_channel::<Vec<Observation>>(AHEAD);
    thread::scope(|threads| {
        let living = threads.spawn(move || {
            let mut batch = Vec::with_capacity(BATCH);
            let goes_on = fleet.go_on(|seen| {
                batch.push(seen);
                if batch.len() == BATCH {
                    // Whoever looks away has failed, and says so itself.
                    let _ = put.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
                }
            });
            let _ = put.send(batch);
            goes_on
        });
        take.iter().flatten().for_each(see);
        living.join().unwrap()
    })
}

const BATCH: usize = 1024;
/// Batches made and not yet looked at.
const AHEAD: usize = 8;

#[test]
fn who_looks_from_another_thread_sees_the_same() {
    use crate::fleet::Story;
    let story = || Story { campaigns: vec![5], ..Story::quiet(3, 30, 2) };
    let (mut alone, mut beside) = (Fleet::new(story()), Fleet::new(story()));
    let mut goes_on = true;
    while goes_on {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        goes_on = alone.go_on(|seen| one.push(seen));
        assert_eq!(go_on(&mut beside, |seen| two.push(seen)), goes_on);
        assert!(one == two, "{} and {} in the quarter of an hour to {}", one.len(), two.len(), alone.now());
    }
    assert!(alone.told() > 1000 && alone.told() == beside.told());
}

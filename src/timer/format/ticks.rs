//! When a timed message is due, in the steps of the wheel.
//!
//! What is due at `d` waits in tick `floor((d - 1) / precision)`, so at an exact multiple one tick earlier, and a tick is delivered
//! once the clock has passed its end: nothing comes early, and nothing a whole tick late. At a precision of one second both 10.001
//! and 11.000 wait in tick 10, and come from 11.000 on.
//!
//! Times are milliseconds since the Unix epoch, signed as in the files.

/// A step of time: the milliseconds, divided by the precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(pub(crate) i64);

impl Tick {
    /// The next one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How long a tick is: `RocketMQ`'s `timerPrecisionMs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Precision(i64);

impl Precision {
    /// A broker's own.
    pub(crate) const DEFAULT: Self = Self(1000);

    /// What a broker makes of the setting: the next of 100, 200, 500 and 1000 ms that is not longer, at least 100.
    pub(crate) const fn from_ms(ms: u64) -> Self {
        Self(match ms {
            0..200 => 100,
            200..500 => 200,
            500..1000 => 500,
            _ => 1000,
        })
    }

    pub(crate) const fn ms(self) -> i64 {
        self.0
    }

    /// The tick that a message waits in which is due at `due_ms`.
    pub(crate) const fn tick_of_due(self, due_ms: i64) -> Tick {
        self.tick_at(due_ms.saturating_sub(1))
    }

    /// The tick that this moment lies in. Of a message's `TIMER_OUT_MS`, the tick that it waits in.
    pub(crate) const fn tick_at(self, ms: i64) -> Tick {
        Tick(ms.div_euclid(self.0))
    }

    /// When the tick begins: the `TIMER_OUT_MS` of the messages that wait in it.
    pub(crate) const fn out_ms(self, tick: Tick) -> i64 {
        tick.0.saturating_mul(self.0)
    }

    /// The first moment at which the messages that wait in the tick may be delivered: its end.
    pub(crate) const fn ready_ms(self, tick: Tick) -> i64 {
        self.out_ms(tick.next())
    }

    /// The field of the timer log that says how long after `from` the tick `to` is.
    ///
    /// `None` if it does not fit. A broker writes the lower 32 bits then; but no unit stands further ahead than
    /// [`Window::MAX`], which fits.
    pub(crate) fn delay_ms(self, from: Tick, to: Tick) -> Option<i32> {
        let ticks = to.0.checked_sub(from.0)?;
        i32::try_from(ticks.checked_mul(self.0)?).ok()
    }
}

/// How many ticks ahead a unit may stand: `RocketMQ`'s `timerRollWindowSlot`. What is due later *rolls*: it waits in an earlier tick,
/// and is put into the wheel again from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window(i64);

/// Where a message is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The slot.
    pub(crate) tick: Tick,
    /// Whether it is not due there, but put into the wheel again.
    pub(crate) rolls: bool,
}

impl Window {
    /// A broker's own: two days at the default precision.
    pub(crate) const DEFAULT: Self = Self(172_800);

    /// Half the wheel, except for 60 slots.
    pub(crate) const MAX: Self = Self(604_740);

    /// What a broker makes of the setting: what is less than 2 or beyond [`Window::MAX`] is taken for that.
    pub(crate) const fn from_ticks(ticks: i64) -> Self {
        if ticks < 2 || ticks > Self::MAX.0 { Self::MAX } else { Self(ticks) }
    }

    /// Where a message that is due in tick `due` goes at tick `now`.
    ///
    /// A window away or further, it rolls: to the window's end; or only to the middle of the window if less than a third of a
    /// window is left behind its end, so that the last way is never short.
    pub(crate) const fn place(self, now: Tick, due: Tick) -> Place {
        let ahead = due.0.saturating_sub(now.0);
        if ahead < self.0 {
            return Place { tick: due, rolls: false };
        }
        let step = if ahead - self.0 < self.0 / 3 { self.0 / 2 } else { self.0 };
        Place { tick: Tick(now.0.saturating_add(step)), rolls: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Precision = Precision::DEFAULT;

    #[test]
    fn an_exact_multiple_waits_one_tick_earlier_and_comes_on_time() {
        for (due, tick) in [(10_001, 10), (10_500, 10), (11_000, 10), (11_001, 11), (1, 0)] {
            assert_eq!(SECOND.tick_of_due(due), Tick(tick), "{due}");
        }
        assert_eq!(SECOND.ready_ms(Tick(10)), 11_000);
        assert_eq!(SECOND.out_ms(Tick(10)), 10_000);
    }

    #[test]
    fn a_precision_is_one_of_a_brokers_four() {
        let taken = [0, 99, 100, 199, 200, 499, 500, 999, 1000, u64::MAX];
        let as_broker = taken.map(|ms| Precision::from_ms(ms).ms());
        assert_eq!(as_broker, [100, 100, 100, 100, 200, 200, 500, 500, 1000, 1000]);
    }

    #[test]
    fn a_window_is_at_most_half_the_wheel() {
        assert_eq!(Window::from_ticks(2), Window(2));
        assert_eq!(Window::from_ticks(604_740), Window::MAX);
        for odd in [i64::MIN, -1, 0, 1, 604_741, i64::MAX] {
            assert_eq!(Window::from_ticks(odd), Window::MAX, "{odd}");
        }
    }

    #[test]
    fn sixty_hours_ahead_roll_to_the_middle_of_two_days_and_a_week_to_the_end() {
        let hours = |n: i64| Tick(n * 3600);
        let place = |ahead| Window::DEFAULT.place(Tick(0), ahead);
        assert_eq!(place(Tick(172_799)), Place { tick: Tick(172_799), rolls: false });
        assert_eq!(place(hours(48)), Place { tick: hours(24), rolls: true });
        assert_eq!(place(hours(60)), Place { tick: hours(24), rolls: true });
        assert_eq!(place(Tick(172_800 + 57_599)), Place { tick: hours(24), rolls: true });
        assert_eq!(place(hours(64)), Place { tick: hours(48), rolls: true });
        assert_eq!(place(hours(168)), Place { tick: hours(48), rolls: true });
    }

    #[test]
    fn the_longest_way_in_the_wheel_fits_the_field_and_a_month_does_not() {
        let far = Window::MAX.place(Tick(0), Tick(i64::MAX)).tick;
        assert_eq!(SECOND.delay_ms(Tick(0), far), Some(604_740_000));
        assert_eq!(SECOND.delay_ms(Tick(0), Tick(2_147_483)), Some(2_147_483_000));
        assert_eq!(SECOND.delay_ms(Tick(0), Tick(2_147_484)), None);
        assert_eq!(SECOND.delay_ms(Tick(-1), Tick(i64::MAX)), None);
        assert_eq!(SECOND.delay_ms(Tick(5), Tick(4)), Some(-1000));
    }

    fn precision() -> impl Strategy<Value = Precision> {
        (0_u64..1200).prop_map(Precision::from_ms)
    }

    proptest! {
        #[test]
        fn nothing_comes_early_and_nothing_a_whole_tick_late(
            precision in precision(),
            due in i64::MIN + 2000..i64::MAX - 2000,
        ) {
            let tick = precision.tick_of_due(due);
            let ready = precision.ready_ms(tick);
            prop_assert!(due <= ready && ready - due < precision.ms());
            prop_assert_eq!(precision.tick_at(precision.out_ms(tick)), tick);
        }

        #[test]
        fn a_later_due_time_never_waits_in_an_earlier_tick(
            precision in precision(), a: i64, b: i64,
        ) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(precision.tick_of_due(a) <= precision.tick_of_due(b));
        }

        #[test]
        fn rolling_ends_where_the_message_is_due(
            window in 2_i64..700_000,
            now in 0_i64..2_000_000_000,
            ahead in 0_i64..100_000_000,
        ) {
            let (window, due) = (Window::from_ticks(window), Tick(now + ahead));
            let mut now = Tick(now);
            // A rolled unit is put in again when its tick is over.
            for _ in 0..2 + 2 * ahead / window.0 + 2 {
                let place = window.place(now, due);
                prop_assert!(place.tick <= due && place.tick.0 - now.0 <= window.0);
                prop_assert_eq!(place.rolls, due.0 - now.0 >= window.0);
                prop_assert!(SECOND.delay_ms(now, place.tick).is_some());
                if !place.rolls {
                    prop_assert_eq!(place.tick, due);
                    return Ok(());
                }
                prop_assert!(place.tick > now);
                now = place.tick.next();
            }
            prop_assert!(false, "it rolls for ever");
        }

        #[test]
        fn no_number_from_a_file_overflows(precision in precision(), a: i64, b: i64) {
            let _ = (precision.tick_of_due(a), precision.ready_ms(Tick(a)), precision.out_ms(Tick(b)));
            let _ = (precision.delay_ms(Tick(a), Tick(b)), Window::DEFAULT.place(Tick(a), Tick(b)));
        }
    }
}

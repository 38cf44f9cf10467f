/// Clocks in nanoseconds.
public enum Clock {
    /// Never set back, never jumps: for durations, timeouts and order.
    public static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Since 1970: for people.
    public static func wall() -> UInt64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

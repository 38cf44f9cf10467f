/// Why a bundle is refused. The policy in force stays.
public enum BundleError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes there are.
    case truncated(Int)
    case oversized(Int)
    case magic
    case version(UInt32)
    /// What the header says, and what there is.
    case length(said: UInt64, found: Int)
    case unknownSigner(String)
    case signature
    /// The parts behind the header are not those that were signed.
    case contents
    case field(String)
    /// Key number: its record says something else than the key, the order is broken, or the filter lacks it.
    case inconsistent(entry: Int, String)
    /// The filter has bits of no key.
    case strangeBits
    case expired(Int64)
    case older(serial: UInt64, than: UInt64)
    case wrongKind(BundleKind)

    public var description: String {
        switch self {
        case .truncated(let bytes): "it has only \(bytes) bytes: cut short"
        case .oversized(let bytes): "it has \(bytes) bytes: more than any bundle may"
        case .magic: "it is no policy bundle"
        case .version(let version):
            "its format is version \(version), and this mis knows version 1; install a newer mis"
        case .length(let said, let found): "its header says \(said) bytes, and there are \(found): cut or added to"
        case .unknownSigner(let key):
            "it is signed by \(key)..., which is not among the trusted keys; 'mis policy keygen --help' says where these are"
        case .signature: "its signature is wrong: it was changed, or signed by somebody else"
        case .contents: "what follows its header is not what was signed: damaged or changed"
        case .field(let field): "its header's \(field) cannot be: made by something else than 'mis policy build'"
        case .inconsistent(let entry, let what): "key \(entry): \(what)"
        case .strangeBits: "its filter holds more than its keys: it would deny what it does not list"
        case .expired(let time): "it expired at \(UTCTime.text(time))"
        case .older(let serial, let other): "its serial \(serial) is not newer than \(other), which is in force"
        case .wrongKind(let kind): "it is a \(kind.label) bundle"
        }
    }
}

/// Times as people read them: `2026-11-23T15:45:00Z`.
public enum UTCTime {
    public static func text(_ seconds: Int64) -> String {
        let (days, second) = seconds.quotientAndRemainderFloored(dividingBy: 86_400)
        let date = civil(days: days)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(date.year)-\(two(date.month))-\(two(date.day))T"
            + "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }

    /// `YYYY-MM-DD`, or with `THH:MM:SSZ`, as seconds since 1970.
    public static func parse(_ text: String) -> Int64? {
        let utf8 = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= utf8.count, utf8[range].allSatisfy({ (48...57).contains($0) }) else { return nil }
            return utf8[range].reduce(0) { $0 * 10 + Int64($1 - 48) }
        }
        guard utf8.count == 10 || utf8.count == 20, let year = number(0..<4), let month = number(5..<7),
            let day = number(8..<10), utf8[4] == 45, utf8[7] == 45, (1...12).contains(month), (1...31).contains(day),
            year >= 1970
        else { return nil }
        let days = days(year: year, month: month, day: day)
        let back = civil(days: days)
        guard back == (year, month, day) else { return nil }
        if utf8.count == 10 { return days * 86_400 }
        guard utf8[10] == 84, utf8[13] == 58, utf8[16] == 58, utf8[19] == 90, let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), hour < 24, minute < 60, second < 60
        else { return nil }
        return days * 86_400 + hour * 3600 + minute * 60 + second
    }

    // Howard Hinnant's algorithms for the civil calendar: eras of 400 years, years that begin in March.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).quotientAndRemainderFloored(dividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}

extension Int64 {
    fileprivate func quotientAndRemainderFloored(dividingBy divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

import HostView
import Testing

@Suite struct PathIndexTests {
    @Test func everyPathHasThePlaceItCameAt() {
        var index = PathIndex(["/", "/dev"])
        #expect(index.place(of: "/proc") == nil)
        #expect(index.insert("/proc") == (place: 2, isNew: true))
        #expect(index.insert("/dev") == (place: 1, isNew: false))
        #expect(index.paths == ["/", "/dev", "/proc"])
    }

    /// Against a dictionary, over many growths.
    @Test func itAnswersAsADictionaryDoes() {
        var index = PathIndex()
        var model: [String: Int] = [:]
        for _ in 0..<20_000 {
            let path = "/\(Int.random(in: 0..<3000))/\(Int.random(in: 0..<2))"
            let (place, isNew) = index.insert(path)
            #expect(isNew == (model[path] == nil))
            model[path] = model[path] ?? index.paths.count - 1
            #expect(place == model[path])
        }
        for (path, place) in model { #expect(index.place(of: path) == place) }
        #expect(index.place(of: "/3000/0") == nil)
    }

    /// The kernel tells names apart by their bytes; two that look the same are two rules.
    @Test func whatOnlyLooksTheSameIsAnother() {
        // Of so many pairs some meet in the table.
        for number in 0..<2000 {
            var index = PathIndex()
            #expect(index.insert("/\(number)\u{e9}").isNew)
            #expect(index.insert("/\(number)e\u{301}").isNew)
        }
    }

    /// Against a look at every path there is.
    @Test func theNearestAboveIsTheLongest() {
        let names = ["a", "b", "ab"]
        func path() -> String {
            let parts = (0..<Int.random(in: 0..<5)).map { _ in names.randomElement() ?? "" }
            return "/" + parts.joined(separator: "/")
        }
        for _ in 0..<500 {
            let index = PathIndex((0..<Int.random(in: 0..<12)).map { _ in path() })
            for asked in (0..<20).map({ _ in path() }) {
                let above = index.paths.filter { Paths.isAtOrBelow(asked, $0) }
                #expect(index.nearest(above: asked, orAt: true).map { index.paths[$0] } == deepest(above))
                #expect(
                    index.nearest(above: asked).map { index.paths[$0] } == deepest(above.filter { $0 != asked }),
                    "\(asked) in \(index.paths)")
            }
        }
    }

    private func deepest(_ paths: [String]) -> String? { paths.max { $0.utf8.count < $1.utf8.count } }
}

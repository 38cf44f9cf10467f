import Testing

@testable import Profile

@Test func builtIns() throws {
    #expect(BuiltinProfiles.text(named: "default") != nil)
}

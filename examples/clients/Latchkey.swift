// A client of Latchkey's API for iOS 15, macOS 12 or later; no packages.
// Guide: docs/own-api.md. This file was not compiled and not run; only its syntax was checked.

import Foundation

private let attempts = 3
private let longestWait = 10.0  // seconds; if the server asks for more, the app tells the user

struct Account: Decodable {
    let id: Int
    let username: String?
    let email: String?
    let email_verified: Bool
}

private struct Opened: Decodable {
    let account: Account
    let token: String
}

struct FieldError: Decodable {
    let field: String
    let code: String
    let message: String
}

/// The server reported an error. `code` is a row of docs/errors.md, or nil if a proxy responded.
struct Problem: Error {
    private struct Body: Decodable {
        let title: String
        let code: String
        let errors: [FieldError]?
    }

    let status: Int
    let title: String
    let code: String?
    let fields: [FieldError]  // show them beside the fields
    let retryAfter: Double?  // seconds, with 429 and 503

    init(_ response: HTTPURLResponse, _ data: Data) {
        let body = try? JSONDecoder().decode(Body.self, from: data)
        status = response.statusCode
        title = body?.title ?? "HTTP \(response.statusCode)"
        code = body?.code
        fields = body?.errors ?? []
        retryAfter = response.value(forHTTPHeaderField: "Retry-After").flatMap(Double.init)
    }

    var endsSession: Bool { status == 401 && (code ?? "").hasPrefix("token_") }
}

/// `token` is what the app has in the keychain. `save` stores a new one, and deletes it for nil.
actor Latchkey {
    private let server: URL
    private var token: String?
    private let save: @Sendable (String?) -> Void

    init(server: URL, token: String? = nil, save: @escaping @Sendable (String?) -> Void) {
        self.server = server
        self.token = token
        self.save = save
    }

    func register(_ fields: [String: String]) async throws -> Account {
        try await open("v1/accounts", fields)
    }

    func logIn(_ login: String, password: String, device: String) async throws -> Account {
        try await open("v1/sessions", ["login": login, "password": password, "device": device])
    }

    func account() async throws -> Account {
        try JSONDecoder().decode(Account.self, from: try await request("GET", "v1/account"))
    }

    func logOut() async throws {
        do {
            _ = try await request("DELETE", "v1/sessions/current")
        } catch let problem as Problem where problem.endsSession {
            // The session had ended before.
        }
        keep(nil)
    }

    private func open(_ path: String, _ fields: [String: String]) async throws -> Account {
        let data = try await request("POST", path, fields)
        let opened = try JSONDecoder().decode(Opened.self, from: data)
        keep(opened.token)
        return opened.account
    }

    private func keep(_ new: String?) {
        token = new
        save(new)
    }

    private func request(
        _ method: String, _ path: String, _ fields: [String: String]? = nil
    ) async throws -> Data {
        let sent = token
        var request = URLRequest(url: server.appendingPathComponent(path))
        request.httpMethod = method
        if let sent {
            request.setValue("Bearer \(sent)", forHTTPHeaderField: "Authorization")
        }
        if let fields {
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
            request.httpBody = try JSONEncoder().encode(fields)
        }
        var attempt = 1
        while true {
            let (data, reply) = try await URLSession.shared.data(for: request)
            guard let response = reply as? HTTPURLResponse else {
                throw URLError(.badServerResponse)
            }
            if (200..<300).contains(response.statusCode) { return data }
            let problem = Problem(response, data)
            if [429, 503].contains(problem.status), let wait = problem.retryAfter,
                wait <= longestWait, attempt < attempts
            {
                attempt += 1
                try await Task.sleep(nanoseconds: UInt64(wait * 1_000_000_000))
                continue
            }
            // Another login may have replaced the token that this request was sent with.
            if problem.endsSession && token == sent { keep(nil) }
            throw problem
        }
    }
}

/// What an app does with the errors of a form.
func message(for error: Error) -> String {
    guard let problem = error as? Problem else { return "The server cannot be reached." }
    if problem.endsSession { return "Show the login." }
    if let wait = problem.retryAfter { return "\(problem.title) Try again in \(Int(wait)) s." }
    let fields = problem.fields.map { "\($0.field): \($0.message)" }
    return ([problem.title] + fields).joined(separator: "\n")
}

func tryIt() async {
    let latchkey = Latchkey(server: URL(string: "http://127.0.0.1:8000")!) { _ in }
    let name = "guest-\(Int(Date().timeIntervalSince1970))"
    do {
        _ = try await latchkey.register(["username": name, "password": "first engine 1843"])
        try await latchkey.logOut()
        _ = try await latchkey.logIn(name, password: "first engine 1843", device: "Sample")
        print(try await latchkey.account())
        try await latchkey.logOut()
        _ = try await latchkey.account()  // without a token, so that the login is shown
    } catch {
        print(message(for: error))
    }
}

// A client of Latchkey's API for Flutter and Dart 3; it needs package:http.
// Guide: docs/own-api.md. This file was not compiled and not run; only its syntax was checked.
// To try it: dart run latchkey.dart http://127.0.0.1:8000

import 'dart:convert';

import 'package:http/http.dart' as http;

const attempts = 3;
const longestWait = 10; // seconds; if the server asks for more, the app tells the user

class FieldError {
  FieldError(Map<String, dynamic> json)
      : field = json['field'] as String,
        code = json['code'] as String,
        message = json['message'] as String;

  final String field;
  final String code;
  final String message;
}

/// The server reported an error. [code] is a row of docs/errors.md, or null if a proxy responded.
class Problem implements Exception {
  Problem(http.Response response, Map<String, dynamic> body)
      : status = response.statusCode,
        title = body['title'] as String? ?? 'HTTP ${response.statusCode}',
        code = body['code'] as String?,
        fields = [
          for (final each in body['errors'] as List? ?? [])
            FieldError(each as Map<String, dynamic>),
        ],
        retryAfter = int.tryParse(response.headers['retry-after'] ?? '');

  final int status;
  final String title;
  final String? code;
  final List<FieldError> fields; // show them beside the fields
  final int? retryAfter; // seconds, with 429 and 503

  bool get endsSession => status == 401 && (code ?? '').startsWith('token_');
}

class Latchkey {
  /// [token] is what the app has stored. [save] stores a new one, and deletes it for null.
  Latchkey(this.server, {String? token, required this.save}) : _token = token;

  final String server;
  final void Function(String? token) save;
  final _client = http.Client();
  String? _token;

  Future<Map<String, dynamic>> register(Map<String, String> fields) =>
      _open('/v1/accounts', fields);

  Future<Map<String, dynamic>> logIn(String login, String password, {String? device}) =>
      _open('/v1/sessions', {'login': login, 'password': password, 'device': device});

  Future<Map<String, dynamic>> account() => _request('GET', '/v1/account');

  Future<void> logOut() async {
    try {
      await _request('DELETE', '/v1/sessions/current');
    } on Problem catch (problem) {
      if (!problem.endsSession) rethrow; // otherwise the session had ended before
    }
    _keep(null);
  }

  Future<Map<String, dynamic>> _open(String path, Map<String, String?> fields) async {
    final opened = await _request('POST', path, fields);
    _keep(opened['token'] as String);
    return opened['account'] as Map<String, dynamic>;
  }

  void _keep(String? token) {
    _token = token;
    save(token);
  }

  Future<Map<String, dynamic>> _request(
    String method,
    String path, [
    Map<String, String?>? fields,
  ]) async {
    final sent = _token;
    for (var attempt = 1;; attempt++) {
      final request = http.Request(method, Uri.parse('$server$path'));
      if (sent != null) request.headers['Authorization'] = 'Bearer $sent';
      if (fields != null) {
        request.headers['Content-Type'] = 'application/json';
        request.body = jsonEncode(fields);
      }
      final response = await http.Response.fromStream(await _client.send(request));
      final body = _parse(response);
      if (response.statusCode < 300) return body;
      final problem = Problem(response, body);
      final wait = [429, 503].contains(problem.status) ? problem.retryAfter : null;
      if (wait != null && wait <= longestWait && attempt < attempts) {
        await Future<void>.delayed(Duration(seconds: wait));
        continue;
      }
      // Another login may have replaced the token that this request was sent with.
      if (problem.endsSession && _token == sent) _keep(null);
      throw problem;
    }
  }

  static Map<String, dynamic> _parse(http.Response response) {
    try {
      return jsonDecode(utf8.decode(response.bodyBytes)) as Map<String, dynamic>;
    } on FormatException {
      return {}; // a 204, or an error page of a proxy
    }
  }
}

Future<void> main(List<String> arguments) async {
  final latchkey = Latchkey(arguments[0], save: (_) {});
  final name = 'guest-${DateTime.now().millisecondsSinceEpoch}';
  void report(Problem problem) {
    print(problem.title);
    for (final each in problem.fields) {
      print('  ${each.field}: ${each.message}');
    }
    if (problem.endsSession) {
      print('  Show the login.');
    } else if (problem.retryAfter != null) {
      print('  Try again in ${problem.retryAfter} s.');
    }
  }

  try {
    await latchkey.register({'username': name, 'password': '1234'});
  } on Problem catch (problem) {
    report(problem);
  }
  try {
    await latchkey.register({'username': name, 'password': 'first engine 1843'});
    await latchkey.logOut();
    await latchkey.logIn(name, 'first engine 1843', device: 'Sample');
    print('Logged in as ${(await latchkey.account())['username']}.');
    await latchkey.logOut();
    await latchkey.account(); // without a token, so that the login is shown
  } on Problem catch (problem) {
    report(problem);
  }
}

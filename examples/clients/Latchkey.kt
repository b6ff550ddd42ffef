// A client of Latchkey's API for Android; it needs kotlinx-coroutines, and org.json of Android.
// Guide: docs/own-api.md. The project's tests do not run this file. On 2026-11-26 it was compiled
// with Kotlin 2.4 and run once on a JVM; it was not run on Android.
// To try it on a JVM: java -cp <jars> LatchkeyKt http://127.0.0.1:8000

import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import org.json.JSONException
import org.json.JSONObject

private const val ATTEMPTS = 3
private const val LONGEST_WAIT = 10L // seconds; if the server asks for more, the app tells the user

class FieldError(val field: String, val code: String, val message: String)

/** The server reported an error. `code` is a row of docs/errors.md, or "" if a proxy responded. */
class Problem(val status: Int, body: JSONObject, val retryAfter: Long?) :
    IOException(body.optString("title", "HTTP $status")) {
    val code: String = body.optString("code")
    val endsSession = status == 401 && code.startsWith("token_")

    /** Show these beside the fields. */
    val fields: List<FieldError> =
        body.optJSONArray("errors")?.let { errors ->
            (0 until errors.length()).map { errors.getJSONObject(it) }
                .map { FieldError(it.getString("field"), it.getString("code"), it.getString("message")) }
        } ?: emptyList()
}

/** `token` is what the app has stored. `save` stores a new one, and deletes it for null. */
class Latchkey(
    private val server: String,
    @Volatile private var token: String? = null,
    private val save: (String?) -> Unit = {},
) {
    suspend fun register(fields: Map<String, String>): JSONObject = open("/v1/accounts", fields)

    suspend fun logIn(login: String, password: String, device: String? = null): JSONObject =
        open("/v1/sessions", mapOf("login" to login, "password" to password, "device" to device))

    suspend fun account(): JSONObject = request("GET", "/v1/account")

    suspend fun logOut() {
        try {
            request("DELETE", "/v1/sessions/current")
        } catch (problem: Problem) {
            if (!problem.endsSession) throw problem // otherwise the session had ended before
        }
        keep(null)
    }

    private suspend fun open(path: String, fields: Map<String, String?>): JSONObject {
        val opened = request("POST", path, JSONObject(fields))
        keep(opened.getString("token"))
        return opened.getJSONObject("account")
    }

    private fun keep(new: String?) {
        token = new
        save(new)
    }

    private suspend fun request(method: String, path: String, body: JSONObject? = null): JSONObject {
        val sent = token
        for (attempt in 1..ATTEMPTS) {
            val problem = try {
                return withContext(Dispatchers.IO) { send(method, path, body, sent) }
            } catch (problem: Problem) {
                problem
            }
            val wait = problem.retryAfter?.takeIf { problem.status == 429 || problem.status == 503 }
            if (wait != null && wait <= LONGEST_WAIT && attempt < ATTEMPTS) {
                delay(wait * 1000)
                continue
            }
            // Another login may have replaced the token that this request was sent with.
            if (problem.endsSession && token == sent) keep(null)
            throw problem
        }
        error("not reached")
    }

    private fun send(method: String, path: String, body: JSONObject?, token: String?): JSONObject {
        val connection = URL(server + path).openConnection() as HttpURLConnection
        try {
            connection.requestMethod = method
            connection.connectTimeout = 10_000
            connection.readTimeout = 30_000
            token?.let { connection.setRequestProperty("Authorization", "Bearer $it") }
            body?.let {
                connection.doOutput = true
                connection.setRequestProperty("Content-Type", "application/json")
                connection.outputStream.use { out -> out.write(it.toString().toByteArray()) }
            }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            val text = stream?.use { it.readBytes().decodeToString() }.orEmpty()
            val parsed = try {
                JSONObject(text)
            } catch (_: JSONException) { // a 204, or an error page of a proxy
                JSONObject()
            }
            if (status < 300) return parsed
            throw Problem(status, parsed, connection.getHeaderField("Retry-After")?.toLongOrNull())
        } finally {
            connection.disconnect()
        }
    }
}

fun main(arguments: Array<String>) = runBlocking<Unit> {
    val latchkey = Latchkey(arguments[0])
    val name = "guest-${System.currentTimeMillis()}"
    fun report(problem: Problem) {
        println(problem.message)
        problem.fields.forEach { println("  ${it.field}: ${it.message}") }
        if (problem.endsSession) println("  Show the login.")
        else problem.retryAfter?.let { println("  Try again in $it s.") }
    }
    try {
        latchkey.register(mapOf("username" to name, "password" to "1234"))
    } catch (problem: Problem) {
        report(problem)
    }
    try {
        latchkey.register(mapOf("username" to name, "password" to "first engine 1843"))
        latchkey.logOut()
        latchkey.logIn(name, "first engine 1843", "Sample")
        println("Logged in as ${latchkey.account().getString("username")}.")
        latchkey.logOut()
        latchkey.account() // without a token, so that the login is shown
    } catch (problem: Problem) {
        report(problem)
    }
}

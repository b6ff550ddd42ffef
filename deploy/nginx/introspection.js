// Authenticates requests by token introspection (RFC 7662), for introspection.conf.

const SCHEMES = /^(?:bearer|token) +([^ ]+)$/i;

// For auth_request: 204 with the account in headers, 401, or 503, which nginx makes a 500.
async function authenticate(r) {
    const found = SCHEMES.exec(r.headersIn.Authorization || "");
    if (!found) {
        r.return(401);
        return;
    }
    const body = "token=" + encodeURIComponent(found[1]);
    const reply = await r.subrequest("/_introspect", {method: "POST", body: body});
    if (reply.status !== 200) {
        r.return(503);
        return;
    }
    const token = JSON.parse(reply.responseText);
    if (!token.active) {
        r.return(401);
        return;
    }
    r.headersOut["X-Account-Id"] = token.sub;
    r.headersOut["X-Session-Id"] = token.sid;
    r.return(204);
}

export default {authenticate};

-- wrk's request: a POST with a body of as many bytes as the first argument says.
function init(arguments)
    wrk.method = "POST"
    wrk.headers["content-type"] = "application/json"
    wrk.body = string.rep("x", tonumber(arguments[1]))
end

// A small chat server in the OpenAI protocol around node-llama-cpp, for trials without a network.
//
//     npm install node-llama-cpp@3.21.1
//     node tools/llama_server.mjs MODEL.gguf [PORT] [THREADS]
//
// One request at a time, on 127.0.0.1 alone. Answers to `response_format` of the type json_schema
// are decoded under a grammar made from the schema: objects, arrays, enums and strings. Tokens of
// the last request that the next one begins with are not evaluated again.
import http from "node:http";
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

// The package is found from the folder in which the server is started.
const require = createRequire(path.join(process.cwd(), "any.js"));
const {getLlama, LlamaChat} = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);

const [file, port = "8080", threads = "1"] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, logLevel: "error",
                              maxThreads: Number(threads)});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({contextSize: Math.min(8192, model.trainContextSize),
                                           threads: Number(threads)});
const sequence = context.getSequence();
const chat = new LlamaChat({contextSequence: sequence});
const name = path.basename(file, ".gguf");

/** A grammar in GBNF for a JSON schema; values of a kind that it does not know are strings. */
function gbnf(schema) {
    const rules = ['string ::= "\\"" [^"\\\\\\x00-\\x1f]* "\\""',
                   'number ::= "-"? [0-9]+ ("." [0-9]+)?'];
    let count = 0;
    const literal = (value) => JSON.stringify(JSON.stringify(value));
    const rule = (body) => { rules.push(`r${count} ::= ${body}`); return `r${count++}`; };
    function of(node) {
        if (node.enum) return rule(node.enum.map(literal).join(" | "));
        if (node.const !== undefined) return rule(literal(node.const));
        if (node.type === "object") {
            const parts = Object.entries(node.properties ?? {}).map(
                ([key, value]) => `${JSON.stringify(JSON.stringify(key) + ": ")} ${of(value)}`);
            return rule(`"{" ${parts.join(' ", " ')} "}"`);
        }
        if (node.type === "array") {
            const item = of(node.items ?? {});
            const [least, most] = [node.minItems ?? 0, node.maxItems ?? 16];
            const more = most > 1 ? `(", " ${item}){${Math.max(0, least - 1)},${most - 1}}` : "";
            return rule(least ? `"[" ${item} ${more} "]"` : `"[" (${item} ${more})? "]"`);
        }
        if (node.type === "boolean") return rule('"true" | "false"');
        return node.type === "number" || node.type === "integer" ? "number" : "string";
    }
    rules.push(`root ::= ${of(schema)}`);
    return rules.join("\n");
}

/** The only value that a schema allows, undefined if it allows several. */
function only(node) {
    if (node.enum?.length === 1) return node.enum[0];
    if (node.type === "array" && node.minItems === 1 && node.maxItems === 1) {
        const item = only(node.items ?? {});
        return item === undefined ? undefined : [item];
    }
    return undefined;
}

/** What an answer begins with up to its only string, its last value; undefined if there is more. */
function beginning(format) {
    const properties = Object.entries(format?.json_schema?.schema?.properties ?? {});
    if (properties.length === 0) return undefined;
    const [name, last] = properties.pop();
    if (last.type !== "string" || last.enum) return undefined;
    const fixed = properties.map(([key, node]) => [key, only(node)]);
    if (fixed.some(([, value]) => value === undefined)) return undefined;
    const parts = fixed.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
    return `{${[...parts, `${JSON.stringify(name)}: "`].join(", ")}`;
}

/** An answer with its string at the end; what is no JSON as it stands is escaped. */
function finished(begun, rest) {
    const whole = `${begun}${rest}"}`;
    try { JSON.parse(whole); return whole; } catch {
        return `${begun}${JSON.stringify(rest).slice(1)}}`;
    }
}

const grammars = new Map();
async function grammarOf(format) {
    if (format?.type !== "json_schema") return undefined;
    const text = gbnf(format.json_schema.schema);
    if (!grammars.has(text)) {
        if (grammars.size > 64) grammars.clear();
        grammars.set(text, await llama.createGrammar({grammar: text}));
    }
    return grammars.get(text);
}

const text = (content) => typeof content === "string" ? content
    : content.filter((part) => part.type === "text").map((part) => part.text).join("\n");

async function answer(body) {
    const history = body.messages.map((message) => message.role === "assistant"
        ? {type: "model", response: [text(message.content)]}
        : {type: message.role === "system" ? "system" : "user", text: text(message.content)});
    const before = sequence.tokenMeter.getState();
    const begun = beginning(body.response_format);
    const made = await chat.generateResponse([...history, {type: "model", response: [begun ?? ""]}], {
        ...(begun === undefined ? {grammar: await grammarOf(body.response_format)}
            : {customStopTriggers: ['"', "\n"]}),
        maxTokens: body.max_tokens ?? 512,
        temperature: body.temperature ?? 0,
        seed: body.seed ?? 0,
    });
    const used = sequence.tokenMeter.diff(before);
    const content = begun === undefined ? made.response
        : finished(begun, made.response.trim());
    return {
        id: "chatcmpl-local", object: "chat.completion", created: 0, model: name,
        choices: [{index: 0, message: {role: "assistant", content},
                   finish_reason: made.metadata.stopReason === "maxTokens" ? "length" : "stop"}],
        usage: {prompt_tokens: used.usedInputTokens, completion_tokens: used.usedOutputTokens,
                total_tokens: used.usedInputTokens + used.usedOutputTokens},
    };
}

let last = Promise.resolve();
const server = http.createServer((request, reply) => {
    const send = (status, value) => {
        reply.writeHead(status, {"Content-Type": "application/json"});
        reply.end(JSON.stringify(value));
    };
    if (request.method === "GET") return send(200, {object: "list", data: [{id: name}]});
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
        last = last.then(async () => {
            try {
                send(200, await answer(JSON.parse(Buffer.concat(parts).toString("utf8"))));
            } catch (error) {
                send(error instanceof SyntaxError ? 400 : 500, {error: {message: String(error)}});
            }
        });
    });
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/v1`));

// Writes golden.json: what the store's JavaScript makes of each message below.
//
//	node generate.mjs

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'

const cases = []

// add records one message. A value that is not a string is to keep the JSON text that it
// has in the message. JavaScript can't tell that, so it is given here, and only checked.
function add(name, input, source = {}) {
  assert(input.isWellFormed(), name)
  cases.push({ name, input, ...store(input, source) })
}

// store is the store's onmessage. It throws on JSON.parse("null"), which has no use for a
// caller: there the message is one without the two fields.
function store(data, source) {
  let m
  try {
    m = JSON.parse(data)
  } catch {
    return { outcome: 'error' }
  }
  if (m && m.msgType && m.content) {
    return {
      outcome: 'found',
      msgType: text(m.msgType, source.msgType),
      content: text(m.content, source.content),
    }
  }
  return { outcome: 'missing' }
}

function text(value, source) {
  if (typeof value === 'string') return value.toWellFormed()
  assert.deepEqual(JSON.parse(source), value)
  return source
}

// value puts a JSON text in the place of each field.
function value(json) {
  add(`msgType ${json}`, `{"msgType":${json},"content":"c"}`, { msgType: json })
  add(`content ${json}`, `{"msgType":"m","content":${json}}`, { content: json })
}

// string takes what stands between the quotes of a string, as value and as key.
function string(inner) {
  add(`string ${inner}`, `{"msgType":"m","content":"${inner}"}`)
  add(`key ${inner}`, `{"${inner}":1,"msgType":"m","content":"c"}`)
}

const raw = String.raw

// The plain ones.
add('the store’s message', '{"msgType":"order","content":"Your order has been shipped"}')
add('Chinese', '{"msgType":"订单","content":"您有新的通知，请前往消息列表查看"}')
add('other members around', '{"id":12345,"msgType":"a","x":[1,{"y":null}],"content":"b","ts":1.7e9}')
add('other order', '{"content":"b","msgType":"a"}')
add('no msgType', '{"content":"b"}')
add('no content', '{"msgType":"a"}')
add('no members', '{}')
add('fields only deeper', '{"data":{"msgType":"a","content":"b"}}')
add('fields in an array', '[{"msgType":"a","content":"b"}]')
add('deeper ones don’t count', '{"msgType":"a","content":"b","data":{"msgType":"x","content":"y"}}')
add('deeper ones in front don’t count', '{"data":[{"msgType":"x","content":"y"}],"msgType":"a","content":"b"}')
add('deeper ones inside the fields', '{"msgType":{"content":1},"content":{"msgType":2}}',
  { msgType: '{"content":1}', content: '{"msgType":2}' })

// Keys.
add('case of msgType', '{"msgtype":"a","content":"b"}')
add('case of content', '{"msgType":"a","Content":"b"}')
add('another case after the right one', '{"msgType":"a","content":"b","MSGTYPE":"x","CONTENT":""}')
add('longer keys', '{"msgTypes":"a","contents":"b"}')
add('shorter keys', '{"msgTyp":"a","conten":"b"}')
add('empty key', '{"":"x","msgType":"a","content":"b"}')
add('keys in single quotes', `{'msgType':'a','content':'b'}`)
add('keys without quotes', '{msgType:"a",content:"b"}')
add('escaped first letters', raw`{"\u006dsgType":"a","\u0063ontent":"b"}`)
add('escaped last letters', raw`{"msgTyp\u0065":"a","conten\u0074":"b"}`)
add('all letters escaped', raw`{"\u006d\u0073\u0067\u0054\u0079\u0070\u0065":"a","content":"b"}`)
add('escapes in both cases of hex', raw`{"\u006DsgType":"a","c\u006fntent":"b"}`)
add('escaped key is another case', raw`{"\u004dsgType":"a","content":"b"}`)
add('escaped key goes on', raw`{"msgType\u0000":"a","content":"b"}`)
add('escaped key in front goes on', raw`{"\nmsgType":"a","content":"b"}`)
add('twice escaped key', raw`{"\\u006dsgType":"a","content":"b"}`)
add('key with a fullwidth letter', '{"ｍsgType":"a","content":"b"}')
add('key with a low byte alike', '{"\u016dsgType":"a","content":"b"}')
add('__proto__ is no prototype', '{"__proto__":{"msgType":"a","content":"b"}}')
add('__proto__ for one', '{"__proto__":{"msgType":"a"},"content":"b"}')
add('__proto__ null', '{"__proto__":null,"msgType":"a","content":"b"}')
add('constructor', '{"constructor":"x","toString":1,"msgType":"a","content":"b"}')

// Duplicates: the last wins, whatever it is.
add('last msgType', '{"msgType":"a","msgType":"b","content":"c"}')
add('last content', '{"msgType":"a","content":"b","content":"c"}')
add('last is empty', '{"msgType":"a","content":"b","content":""}')
add('last is null', '{"msgType":"a","content":"b","msgType":null}')
add('last is truthy', '{"msgType":0,"content":false,"content":"b","msgType":"a"}')
add('last is escaped', raw`{"msgType":"a","content":"b","\u006dsgType":"x"}`)
add('first is escaped', raw`{"\u006dsgType":"x","msgType":"a","content":"b"}`)
add('last is an object', '{"msgType":"a","content":"b","content":{"b":1}}', { content: '{"b":1}' })

// Truthiness.
for (const json of [
  'null', 'true', 'false', '""', '" "', '"0"', '"false"', '"null"',
  '{}', '[]', '[0]', '[null]', '{"a":false}', '{ "a" : [ 1 , 2 ] }',
  '0', '-0', '0.0', '-0.0', '0.000', '0e5', '0E+5', '-0e-5', '0.0e999', '0e99999999999999999999',
  '1', '-1', '42', '0.1', '0.0000001', '1e5', '1E+5', '1e-5', '-1.5e-3', '12345678901234567890123',
  '1e999', '-1e999', '1e400', '1e99999999999999999999', '1.7976931348623159e308',
  '1e-400', '-1e-400', '1e-99999999999999999999',
  '5e-324', '3e-324', '2.4703282292062328e-324', '2.4703282292062327e-324', '2e-324', '-2e-324',
  '0.' + '0'.repeat(322) + '1', '0.' + '0'.repeat(330) + '1',
]) value(json)
add('both falsy', '{"msgType":"","content":""}')
add('both truthy, neither a string', '{"msgType":7,"content":[true]}', { msgType: '7', content: '[true]' })

// Strings.
for (const inner of [
  raw`\"`, raw`\\`, raw`\/`, '/', raw`\b\f\n\r\t`, raw`a\nb`, raw`\\n`, raw`\\\"`, raw`12345678\n12345678\n`,
  raw`\u0000`, raw`\u0041`, raw`\u00e9\u00E9`, raw`\u4f60\u597d`, raw`\uffff`, raw`\ufffd`, raw`\ufeff`,
  raw`\ud83d\ude00`, raw`\uD83D\uDE00`, raw`\ud800\udc00`, raw`\udbff\udfff`,
  raw`\ud800`, raw`\udc00`, raw`\ud800\ud800`, raw`\udc00\ud800`, raw`\ud800\ud800\udc00`, raw`\ud800x`,
  raw`\ud800\n`, raw`\ud800\u0041`, raw`\ud83d\\ude00`,
  'é', '你好', '😀', '\u007f', '\u0080', '\u2028\u2029', '\ufeff', '\ufffd', '\uffff', '{"a":[1]}', '  ',
  // Malformed.
  raw`\x41`, raw`\u`, raw`\u0`, raw`\u004`, raw`\u004g`, raw`\u 041`, raw`\u+041`, raw`\u00_1`, raw`\U0041`, raw`\u{41}`,
  raw`\ud800\u`, raw`\ud800\udc0`, raw`\ud800\x`, raw`\a`, raw`\v`, raw`\0`, raw`\'`, raw`\ `, '\\\n', '\\\u4f60', '\\',
  '\u0000', '\n', '\t', '\r', '\u001f', '1234567\u001f', '12345678\u0001', '你好\n', '"',
]) string(inner)

// White space.
add('white space everywhere', ' \t\r\n{ \t\r\n"msgType" \t\r\n: \t\r\n"a" \t\r\n, \t\r\n"content" \t\r\n: \t\r\n[ 1 ] \t\r\n} \t\r\n',
  { content: '[ 1 ]' })
add('white space around a number', '{"msgType": 1 ,"content":\n2\n}', { msgType: '1', content: '2' })
add('empty object with white space', '{ }')
for (const [name, space] of Object.entries({
  BOM: '\ufeff', NUL: '\0', 'vertical tab': '\v', 'form feed': '\f', NBSP: '\u00a0', NEL: '\u0085',
  U2028: '\u2028', 'ideographic space': '\u3000', comment: '/**/', 'line comment': '//\n',
})) {
  add(`${name} in front`, `${space}{"msgType":"a","content":"b"}`)
  add(`${name} inside`, `{"msgType":${space}"a","content":"b"}`)
  add(`${name} after`, `{"msgType":"a","content":"b"}${space}`)
}

// Other documents.
for (const json of [
  'null', 'true', 'false', '0', '1', '-1.5e3', '""', '"msgType"', '"ping"', '[]', '[1,"a",{}]', '[[[]]]', ' 1 ', '\n"a"\n',
  '', ' ', 'ping', 'pong', 'nul', 'nulll', 'True', 'undefined', 'NaN', 'Infinity', '-Infinity', '"', "'a'",
  '{', '}', '[', ']', ':', ',', '{]', '[}', '[1', '{"a"', '{"a":', '{"a":1', '[1,', '{"a":1,', '[]]', '{}}', '{}{}', '1 2', '{},',
  '<html></html>', '{"msgType":"a","content":"b"',
]) add(`document ${json}`, json)

// Malformed inside an object that has both fields, before them and after them.
for (const rest of [
  '"x":', '"x"', '"x" 1', '"x"=1', 'x:1', '1:1', 'null:1', ',', '"x":1,', '"x":1 2', '"x":1"y":2', '"x"::1', '{}', '[]', '"x":,',
  '"x":01', '"x":-01', '"x":00', '"x":-', '"x":--1', '"x":+1', '"x":.5', '"x":-.5', '"x":1.', '"x":1.e5', '"x":1e', '"x":1e+', '"x":1e+-5',
  '"x":1.5.5', '"x":1e5.5', '"x":0x10', '"x":1_000', '"x":1n', '"x":1a', '"x":１', '"x":NaN', '"x":Infinity', '"x":-Infinity', '"x":undefined',
  '"x":-true', '"x":1.null', '"x":1efalse', '"x":1e+true', '"x":0true', '"x":1"y"', '"x":tru', '"x":truee', '"x":TRUE', '"x":fals', '"x":nul', '"x":None', `"x":'y'`, '"x":`y`', '"x":"y',
  '"x":[1,]', '"x":[,1]', '"x":[,]', '"x":[1 2]', '"x":[1', '"x":[1}', '"x":[1]]', '"x":["a":1]', '"x":[[[1]]',
  '"x":{"y"}', '"x":{"y":}', '"x":{"y":1,}', '"x":{,}', '"x":{"y":1', '"x":{"y":1]', '"x":{"y":1}}', '"x":{y:1}', '"x":{"y" 1}', '"x":{[]:1}',
]) {
  add(`in front ${rest}`, `{${rest},"msgType":"a","content":"b"}`)
  add(`behind ${rest}`, `{"msgType":"a","content":"b",${rest}}`)
}

// Nesting.
add('nested arrays', `{"msgType":"a","content":${'['.repeat(100)}${']'.repeat(100)}}`, { content: '['.repeat(100) + ']'.repeat(100) })
add('nested objects', `{"msgType":"a","x":${'{"content":'.repeat(100)}1${'}'.repeat(100)},"content":"b"}`)
add('nested objects, one not closed', `{"msgType":"a","x":${'{"content":'.repeat(100)}1${'}'.repeat(99)},"content":"b"}`)
add('nested, mixed', '{"msgType":"a","content":[{"x":[{"y":[[],{},[{}]]}]}]}', { content: '[{"x":[{"y":[[],{},[{}]]}]}]' })
add('siblings', `{"msgType":"a","x":[${'[],'.repeat(200)}[]],"content":"b"}`)

const names = cases.map((c) => c.name)
assert.equal(new Set(names).size, names.length, 'names are unique')
writeFileSync(new URL('golden.json', import.meta.url), `[\n${cases.map((c) => JSON.stringify(c)).join(',\n')}\n]\n`)
console.log(`${cases.length} cases`)

// Reads lines of {"input", "type", "content", "id"} and answers each with what JavaScript finds
// under these names in the message: a line of {"error"} or {"type", "content", "id"}. A value is
// {"text", "json", "truthy"}; one that is missing is left out.

import { createInterface } from 'node:readline'

function find(message, name) {
  if (message === null || typeof message !== 'object' || Array.isArray(message) || !Object.hasOwn(message, name)) {
    return undefined
  }
  const value = message[name]
  return { text: typeof value === 'string' ? value.toWellFormed() : null, json: JSON.stringify(value), truthy: Boolean(value) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { input, type, content, id } = JSON.parse(line)
  let answer
  try {
    const message = JSON.parse(input)
    answer = { type: find(message, type), content: find(message, content), id: find(message, id) }
  } catch (error) {
    answer = { error: String(error) }
  }
  console.log(JSON.stringify(answer))
}

// A Modbus/TCP server on jsmodbus. It prints its port, serves the values that the tests expect, sets a register
// for each line "ADDRESS VALUE", answers each line "ADDRESS" with its value, and ends with its stdin.
'use strict'
const net = require('net')
const readline = require('readline')
const Modbus = require('jsmodbus')

const holding = Buffer.alloc(400) // 200 registers: 0 to 199
const input = Buffer.alloc(400)
const coils = Buffer.alloc(4)

holding.writeInt16BE(-1234, 0) // holding 0
holding.writeFloatBE(12.1, 2) // holding 1-2, ABCD
holding.writeUInt32LE(305419896, 6) // holding 3-4, DCBA
holding.write('LOT-0042', 20, 'ascii') // holding 10-13
holding.writeDoubleBE(0.1, 40) // holding 20-23
for (let register = 100; register < 200; register++) holding.writeUInt16BE(register, register * 2)
input.writeUInt16BE(0x1234, 6) // input 3
coils.writeUInt8(0b00000101, 0) // coils 0 and 2

const listener = new net.Server()
new Modbus.server.TCP(listener, { holding, input, coils, discrete: Buffer.from(coils) })
listener.listen(0, '127.0.0.1', () => console.log(listener.address().port))
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [address, value] = line.split(' ').map(Number)
  if (value === undefined) console.log(holding.readUInt16BE(address * 2))
  else holding.writeUInt16BE(value, address * 2)
})
lines.on('close', () => process.exit(0))

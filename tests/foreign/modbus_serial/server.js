// A Modbus/TCP server on modbus-serial. It prints its port, sets a register for each line "ADDRESS VALUE", answers
// each line "ADDRESS" with its value, and ends with its stdin.
'use strict'
const readline = require('readline')
const { ServerTCP } = require('modbus-serial')

const holding = new Array(400).fill(0)
const server = new ServerTCP({
  getHoldingRegister: (address) => {
    if (address >= holding.length) throw { modbusErrorCode: 2, msg: 'there is no such register' }
    return holding[address]
  },
  setRegister: (address, value) => { holding[address] = value }
}, { host: '127.0.0.1', port: 0, unitID: 1 })
server.on('initialized', () => console.log(server._server.address().port))

const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const [address, value] = line.split(' ').map(Number)
  if (value === undefined) console.log(holding[address])
  else holding[address] = value
})
lines.on('close', () => process.exit(0))

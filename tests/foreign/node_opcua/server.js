// An OPC UA server from another maker: reads commands as JSON lines, answers each with one line.
"use strict";
const path = require("path");
const readline = require("readline");
const {
  OPCUAServer, OPCUACertificateManager, Variant, DataType, VariantArrayType, StatusCodes, DataValue,
  MessageSecurityMode, SecurityPolicy, nodesets, coerceNodeId,
} = require("node-opcua");

const config = JSON.parse(process.argv[2]);

async function main() {
  const certificates = new OPCUACertificateManager({
    rootFolder: path.join(config.folder, "pki"),
    automaticallyAcceptUnknownCertificate: config.acceptAll === true,
  });
  await certificates.initialize();
  const server = new OPCUAServer({
    port: config.port,
    hostname: "127.0.0.1",
    serverCertificateManager: certificates,
    userManager: { isValidUser: (name, password) => name === "anna" && password === "secret" },
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    securityPolicies: [
      SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes128_Sha256_RsaOaep,
      SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    disableDiscovery: true,
    nodeset_filename: [nodesets.standard, path.join(__dirname, "press.xml")],
    serverCapabilities: { operationLimits: { maxMonitoredItemsPerCall: 7, maxNodesPerRead: 5, maxNodesPerBrowse: 3 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace("urn:foreign:press");
  const press = namespace.addObject({
    browseName: "Press", nodeId: "s=Press", organizedBy: space.rootFolder.objects,
    eventSourceOf: space.rootFolder.objects.server,
  });
  const variables = {};
  const add = (name, dataType, value, more = {}) => {
    const variable = namespace.addVariable({
      componentOf: press, browseName: name, nodeId: `s=Press.${name}`, dataType: more.type || dataType,
      accessLevel: "CurrentRead | CurrentWrite", userAccessLevel: "CurrentRead | CurrentWrite",
      minimumSamplingInterval: 10, ...more.options,
    });
    variable.setValueFromSource(new Variant({ dataType, value, ...more.variant }));
    variables[name] = { variable, dataType, variant: more.variant || {} };
    return variable;
  };
  add("Holding", DataType.Double, 125);
  add("Temperature", DataType.Float, 12.3);
  add("Count", DataType.UInt32, 0);
  add("Serial", DataType.String, "SN-1");
  add("Ack", DataType.UInt32, 0);
  add("Limits", DataType.Double, new Float64Array([40, 60]), { variant: { arrayType: VariantArrayType.Array } });
  for (let number = 0; number < 20; number++) add(`Signal${number}`, DataType.Double, number);
  const types = space.getNamespaceIndex("urn:foreign:types");
  const recipeType = space.findDataType(coerceNodeId(`ns=${types};i=3`));
  const recipe = (name, high) => space.constructExtensionObject(recipeType, {
    name, steps: [1, 2, 3], force: { low: 1.5, high }, hold: 250,
  });
  const structure = add("Recipe", DataType.ExtensionObject, recipe("bush", 2.5), { type: recipeType.nodeId });
  space.installHistoricalDataNode(variables.Holding.variable, { maxOnlineValues: 1000 });
  const alarm = namespace.instantiateNonExclusiveLimitAlarm("NonExclusiveLimitAlarmType", {
    browseName: "TooHot", conditionSource: press, conditionName: "TooHot", componentOf: press,
    inputNode: variables.Temperature.variable, highLimit: 70, highHighLimit: 90, lowLimit: -10, lowLowLimit: -20,
  });
  alarm.setEnabledState && alarm.setEnabledState(true);
  await server.start();

  const act = async (command) => {
    if (command.set) {
      const { variable, dataType, variant } = variables[command.set];
      const value = Array.isArray(command.value) ? new Float64Array(command.value) : command.value;
      variable.setValueFromSource(new Variant({ dataType, value, ...variant }), StatusCodes[command.status || "Good"]);
      return true;
    }
    if (command.recipe) {
      structure.setValueFromSource(new Variant({ dataType: DataType.ExtensionObject, value: recipe(command.recipe, command.high) }));
      return true;
    }
    if (command.get) return variables[command.get].variable.readValue().value.value;
    if (command.sessions) return server.engine.currentSessionCount;
    if (command.certificate) return server.getCertificate().toString("base64");
    throw new Error(`unknown command ${JSON.stringify(command)}`);
  };
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", async (line) => {
    try {
      process.stdout.write(`@${JSON.stringify({ answer: await act(JSON.parse(line)) })}\n`);
    } catch (error) {
      process.stdout.write(`@${JSON.stringify({ error: String(error) })}\n`);
    }
  });
  lines.on("close", async () => { await server.shutdown(0); process.exit(0); });
  process.stdout.write("@ready\n");
}

main().catch((error) => { process.stdout.write(`@failed ${error}\n`); process.exit(1); });

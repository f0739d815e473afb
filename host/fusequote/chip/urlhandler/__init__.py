"""pyserial's door to the reference model: ``model://``.

Append this package's name to ``serial.protocol_handler_packages``, then
``serial.serial_for_url("model://...")``.
"""

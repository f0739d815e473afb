"""pyserial's door to the simulated chip: ``sim://``.

Append this package's name to ``serial.protocol_handler_packages``, then ``serial.serial_for_url("sim://...")``.
"""

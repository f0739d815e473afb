// Cells of an iCE40UP5K as nextpnr packs them, for Verilator. Behaviour: Lattice, iCE Technology Library, and TN1250 (block
// RAM), TN1295 (multiplier), TN1314 (SPRAM).

// A look-up table, half of a carry chain and a flip-flop. What the table gives (lut) is worked out where the cell is used:
// its contents are known there.
module ICESTORM_LC #(
    parameter NEG_CLK = 0, CARRY_ENABLE = 0, DFF_ENABLE = 0, SET_NORESET = 0, ASYNC_SR = 0, CIN_CONST = 0, CIN_SET = 0
) (
    input lut, I1, I2, CIN, CLK, CEN, SR,
    output LO, O, COUT
);
    wire carry = CIN_CONST != 0 ? CIN_SET != 0 : CIN;
    assign LO = lut;
    assign COUT = CARRY_ENABLE != 0 && (I1 & I2 | (I1 | I2) & carry);
    generate
        if (DFF_ENABLE != 0) begin : register
            wire edge_of = CLK ^ (NEG_CLK != 0);
            reg q = 0;  // after configuration every flip-flop is 0
            if (ASYNC_SR != 0) begin : asynchronous
                always @(posedge edge_of, posedge SR)
                    if (SR) q <= SET_NORESET != 0;
                    else if (CEN) q <= lut;
            end else begin : synchronous
                // The set or reset of an iCE40 waits for the clock enable.
                always @(posedge edge_of) if (CEN) q <= SR ? SET_NORESET != 0 : lut;
            end
            assign O = q;
        end else begin : no_register
            assign O = lut;
        end
    endgenerate
endmodule

// 256 words of 16 bits. Modes 0 to 3 are ports of 16, 8, 4, 2 bits: a narrow port takes its bits from every second,
// fourth, eighth one of a word, and the upper bits of its address say which of them.
module ICESTORM_RAM #(
    parameter READ_MODE = 0, WRITE_MODE = 0, NEG_CLK_R = 0, NEG_CLK_W = 0, LOADED = 0,
    parameter [4095:0] INIT = 0
) (
    input configure,
    input [4095:0] contents,
    input [10:0] RADDR, WADDR,
    input [15:0] MASK, WDATA,
    input RCLK, RCLKE, RE, WCLK, WCLKE, WE,
    output [15:0] RDATA
);
    reg [15:0] memory [0:255];
    reg [15:0] word = 0;
    reg [2:0] lane = 0;
    integer i;
    initial for (i = 0; i < 256; i = i + 1) memory[i] = INIT[16 * i +: 16];

    wire read_clock = RCLK ^ (NEG_CLK_R != 0), write_clock = WCLK ^ (NEG_CLK_W != 0);
    always @(posedge read_clock) if (RCLKE & RE) begin
        word <= memory[RADDR[7:0]];
        lane <= RADDR[10:8];
    end

    wire [15:0] data, mask;
    genvar bit_;
    generate
        for (bit_ = 0; bit_ < 16; bit_ = bit_ + 1) begin : bits
            case (WRITE_MODE)
                0: begin assign data[bit_] = WDATA[bit_];            assign mask[bit_] = MASK[bit_];               end
                1: begin assign data[bit_] = WDATA[bit_ / 2 * 2];    assign mask[bit_] = bit_ % 2 != WADDR[8:8];   end
                2: begin assign data[bit_] = WDATA[bit_ / 4 * 4 + 1]; assign mask[bit_] = bit_ % 4 != WADDR[9:8];  end
                default: begin assign data[bit_] = WDATA[bit_ / 8 * 8 + 3]; assign mask[bit_] = bit_ % 8 != WADDR[10:8]; end
            endcase
            case (READ_MODE)
                0: assign RDATA[bit_] = word[bit_];
                1: assign RDATA[bit_] = bit_ % 2 == 0 && word[bit_ / 2 * 2 + {31'b0, lane[0]}];
                2: assign RDATA[bit_] = bit_ % 4 == 1 && word[bit_ / 4 * 4 + {30'b0, lane[1:0]}];
                default: assign RDATA[bit_] = bit_ % 8 == 3 && word[bit_ / 8 * 8 + {29'b0, lane}];
            endcase
        end
    endgenerate
    wire [15:0] merged = memory[WADDR[7:0]] & mask | data & ~mask;
    integer j;
    generate
        if (LOADED != 0) begin : loaded
            // Contents that are not known before the bitstream is.
            always @(posedge write_clock)
                if (configure) for (j = 0; j < 256; j = j + 1) memory[j] <= contents[16 * j +: 16];
                else if (WCLKE & WE) memory[WADDR[7:0]] <= merged;
        end else begin : fixed
            always @(posedge write_clock) if (WCLKE & WE) memory[WADDR[7:0]] <= merged;
        end
    endgenerate
endmodule

// 16384 words of 16 bits, written by nibbles. It has no initial contents and no defined output while it is written: here
// both are noise, so that nothing can depend on them.
module ICESTORM_SPRAM (
    input [13:0] ADDRESS,
    input [15:0] DATAIN,
    input [3:0] MASKWREN,
    input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
    output reg [15:0] DATAOUT
);
    reg [15:0] memory [0:16383];
    integer i;
    initial for (i = 0; i < 16384; i = i + 1) memory[i] = 16'(i * 40503) ^ 16'hC35A;
    wire [15:0] mask = {{4{MASKWREN[3]}}, {4{MASKWREN[2]}}, {4{MASKWREN[1]}}, {4{MASKWREN[0]}}};
    always @(posedge CLOCK)
        if (CHIPSELECT & ~STANDBY & ~SLEEP & POWEROFF) begin
            if (WREN) memory[ADDRESS] <= memory[ADDRESS] & ~mask | DATAIN & mask;
            DATAOUT <= WREN ? ~DATAIN : memory[ADDRESS];
        end
endmodule

// SB_MAC16 as a multiplier of 16x16 bits without its adders: the product of A and B, signed or not, as a whole
// (TOPOUTPUT_SELECT = BOTOUTPUT_SELECT = 3). Registers: of the inputs, of the four partial products, of the product.
module ICESTORM_DSP #(
    parameter NEG_TRIGGER = 0, A_REG = 0, B_REG = 0, TOP_8x8_MULT_REG = 0, BOT_8x8_MULT_REG = 0,
    PIPELINE_16x16_MULT_REG1 = 0, PIPELINE_16x16_MULT_REG2 = 0, A_SIGNED = 0, B_SIGNED = 0
) (
    input CLK, CE, AHOLD, BHOLD, IRSTTOP, IRSTBOT,
    input [15:0] A, B,
    output [31:0] O
);
    wire clock = CLK ^ (NEG_TRIGGER != 0);
    reg [15:0] a_held = 0, b_held = 0, hh_held = 0, ll_held = 0;
    reg [31:0] hl_held = 0, lh_held = 0, product_held = 0;

    wire [15:0] a = A_REG != 0 ? a_held : A, b = B_REG != 0 ? b_held : B;
    // Only the upper byte of a signed number has a sign.
    wire [31:0] a_high = {{24{A_SIGNED != 0 && a[15]}}, a[15:8]}, b_high = {{24{B_SIGNED != 0 && b[15]}}, b[15:8]};
    wire [31:0] a_low = {24'b0, a[7:0]}, b_low = {24'b0, b[7:0]};
    wire [31:0] hh_now = a_high * b_high, ll_now = a_low * b_low, hl_now = a_high * b_low, lh_now = a_low * b_high;
    wire [15:0] hh = TOP_8x8_MULT_REG != 0 ? hh_held : hh_now[15:0];
    wire [15:0] ll = BOT_8x8_MULT_REG != 0 ? ll_held : ll_now[15:0];
    wire [31:0] hl = PIPELINE_16x16_MULT_REG1 != 0 ? hl_held : hl_now;
    wire [31:0] lh = PIPELINE_16x16_MULT_REG1 != 0 ? lh_held : lh_now;
    wire [31:0] product = {hh, ll} + {hl[23:0], 8'b0} + {lh[23:0], 8'b0};
    assign O = PIPELINE_16x16_MULT_REG2 != 0 ? product_held : product;

    always @(posedge clock, posedge IRSTTOP)
        if (IRSTTOP) begin
            a_held <= 0;
            hh_held <= 0;
            hl_held <= 0;
            lh_held <= 0;
        end else if (CE) begin
            if (!AHOLD) a_held <= A;
            hh_held <= hh_now[15:0];
            hl_held <= hl_now;
            lh_held <= lh_now;
        end
    always @(posedge clock, posedge IRSTBOT)
        if (IRSTBOT) begin
            b_held <= 0;
            ll_held <= 0;
            product_held <= 0;
        end else if (CE) begin
            if (!BHOLD) b_held <= B;
            ll_held <= ll_now[15:0];
            product_held <= product;
        end
endmodule

// The two kinds of pin that are used: an input (PIN_TYPE 0000x1), and an output whose flip-flop is in the pin (0101xx,
// 1101xx: with an enable that is not delayed). The pad is two ports here, one for each direction.
module SB_IO #(parameter [5:0] PIN_TYPE = 0, NEG_TRIGGER = 0) (
    input PAD_IN, CLOCK_ENABLE, OUTPUT_CLK, OUTPUT_ENABLE, D_OUT_0,
    output PAD_OUT, D_IN_0
);
    reg held = 0;
    wire clock = OUTPUT_CLK ^ (NEG_TRIGGER != 0);
    always @(posedge clock) if (CLOCK_ENABLE) held <= D_OUT_0;
    // A pin that is not driven is pulled up.
    assign PAD_OUT = PIN_TYPE[5:4] != 3 || OUTPUT_ENABLE ? (PIN_TYPE[3:2] == 1 ? held : D_OUT_0) : 1'b1;
    assign D_IN_0 = PAD_IN;
endmodule

module SB_GB (input USER_SIGNAL_TO_GLOBAL_BUFFER, output GLOBAL_BUFFER_OUTPUT);
    assign GLOBAL_BUFFER_OUTPUT = USER_SIGNAL_TO_GLOBAL_BUFFER;
endmodule

// The clock that the PLL makes comes from outside (pll_clock), at the rate that its parameters say. It locks a while later.
module ICESTORM_PLL (
    input pll_clock, RESETB, BYPASS,
    output PLLOUT_A, LOCK
);
    reg [9:0] count = 0;
    always @(posedge pll_clock) if (!RESETB) count <= 0; else if (!LOCK) count <= count + 1;
    assign LOCK = count[9];
    assign PLLOUT_A = pll_clock & ~BYPASS;
endmodule

"""What owners of lots, calibrations, qualifications and routes say."""
